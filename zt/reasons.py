"""What the reasons of refusals mean, in the words of docs/reasons.md."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from zerotrust.decision import Reason

BY_RULES = frozenset({Reason.POLICY_DENIED, Reason.RESOURCE_DENIED, Reason.SCOPE_MISSING})
"""The reasons of refusals that the rules explain: a rule that permits was missing, or the scope that it asks for."""
_PAGE = Path(__file__).parents[1] / "docs" / "reasons.md"
_MEANING = re.compile(r"^\| `(\w+)` \| \d+ \| ([^|]+?) \|", re.MULTILINE)


@cache
def meanings() -> Mapping[str, str]:
    """Return the sentence of each reason on the page; none where `zt` is installed without the page."""
    try:
        return dict(_MEANING.findall(_PAGE.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}


def meaning(reason: str) -> str:
    """Return what a reason means; of one that has no sentence here, where to look it up."""
    return meanings().get(reason, "docs/reasons.md says what that means, unless a service has declared it.")
