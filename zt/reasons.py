"""Explains the reasons of refusals and the next step, in the words of `reasons.yaml`."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml

from zerotrust.decision import Reason

BY_RULES = frozenset({Reason.POLICY_DENIED, Reason.RESOURCE_DENIED, Reason.SCOPE_MISSING})
"""The reasons of refusals that the rules explain: a rule that permits was missing, or the scope that it asks for."""
_FILE = Path(__file__).with_suffix(".yaml")


@cache
def reason_texts() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    """Return `meaning`, `cause` and `remedy` of each reason, by section and by reason; `granted` has a meaning only."""
    sections: dict[str, dict[str, dict[str, str]]] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return sections


@cache
def _texts() -> Mapping[str, Mapping[str, str]]:
    return {reason: texts for section in reason_texts().values() for reason, texts in section.items()}


def meanings() -> Mapping[str, str]:
    """Return what each reason means."""
    return {reason: texts["meaning"] for reason, texts in _texts().items()}


def meaning(reason: str) -> str:
    """Return what a reason means; of a reason outside the file, who knows it."""
    return meanings().get(reason, "This is not a reason of the library: a service has declared it.")


def remedy(reason: str) -> str:
    """Return what to do; of a reason that is not in the file, where all of them are."""
    return _texts().get(reason, {"remedy": "docs/reference/reasons.md has all reasons."}).get("remedy", "")
