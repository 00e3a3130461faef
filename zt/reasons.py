"""What the reasons of refusals mean, in the words of docs/reasons.md."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from zerotrust.decision import Reason

BY_RULES = frozenset({Reason.POLICY_DENIED, Reason.RESOURCE_DENIED, Reason.SCOPE_MISSING})
"""The reasons of refusals that the rules explain: a rule that permits was missing, or the scope that it asks for."""
_HERE = Path(__file__)
_PAGES = _HERE.parents[1] / "docs" / "reasons.md", _HERE.with_suffix(".md")
"""The page in a checkout, and in a wheel."""
_MEANING = re.compile(r"^\| `(\w+)` \| \d+ \| ([^|]+?) \|", re.MULTILINE)


@cache
def meanings() -> Mapping[str, str]:
    """Return the sentence of each reason on the page."""
    page = next(page for page in _PAGES if page.exists())
    return dict(_MEANING.findall(page.read_text(encoding="utf-8")))


def meaning(reason: str) -> str:
    """Return what a reason means; of one that is not on the page, where to look it up."""
    return meanings().get(reason, "This is not a reason of the library: a service has declared it.")
