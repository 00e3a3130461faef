"""Which parts of a text of Cedar are no code, and which join parts of an expression.  Pure."""

import re

NO_CODE = re.compile(r'"(?:\\.|[^"\\])*(?:"|\\?\Z)|//[^\n\r]*', re.DOTALL)
"""Texts and comments.  A text that nothing closes is no Cedar, and goes to the end: else each quote in it is tried."""
JOIN = re.compile(r"&&|\|\||[-+*!.([]|[=<>]=?|\b(?:when|unless|if|in|is|has|like)\b")
