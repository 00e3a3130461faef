"""The forms that the values of a record have: text, ids, digests, times.  Pure.

Text from outside is `Text`, and only `sanitize` makes it: no record contains a token.  An event whose values have other
forms is refused when it is parsed.  `docs/reference/audit-events.md` has the same table.
"""

import re
from typing import Annotated, NewType

from pydantic import Field

MICROSECONDS = 1_000_000
"""In a second."""

Text = NewType("Text", str)
"""Text from outside, made safe for a record by `sanitize`."""
SafeText = Annotated[Text, Field(pattern=r"^[\x20-\x7e]*$")]
SpiffeId = Annotated[str, Field(pattern=r"^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)+$")]
Id = Annotated[str, Field(pattern=r"^[\x21-\x7e]+$")]
"""An id of a verified token: of a user, a session, a token, or a party, which may be a client without a SPIFFE ID."""
TraceId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
SpanId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Microseconds = Annotated[int, Field(ge=0)]
"""A time, since 1970-01-01 UTC, or a duration."""
Times = Annotated[int, Field(ge=1)]
"""How often; it is never 0."""

NAME = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
"""A name that a program chose, in the characters of a scope (RFC 6749 section 3.3)."""

_TOKEN = re.compile(r"eyJ[\w.-]*")
"""A JWT: it begins with `{"` in base64."""


def as_name(text: str) -> str:
    """Return a name in the form that the audit log takes: each other character becomes `_`."""
    return text if NAME.fullmatch(text) else re.sub(r"[^\x21\x23-\x5b\x5d-\x7e]", "_", text) or "_"


def sanitize(text: str) -> Text:
    """Return text from outside in a form that is safe in a record: 200 characters of it, ASCII only, without tokens."""
    if text.isascii() and text.isprintable() and "\\" not in text and "eyJ" not in text:
        return Text(text[:200])  # almost all texts: the rest would change nothing
    without = _TOKEN.sub("(a token)", text[:200])  # control: tokens-not-recorded
    return Text(without.encode("unicode_escape").decode())  # control: text-escaped
