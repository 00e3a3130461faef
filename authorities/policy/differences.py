"""What differs between two versions of the policies: their texts, and the answers that change.  Pure."""

from collections.abc import Iterator, Mapping
from difflib import unified_diff
from typing import Any, NamedTuple

from authorities.policy.decisions import FILE, SAID, Row, TableError, rows
from authorities.policy.versions import Content
from zerotrust.decision import Decision
from zerotrust.policy import PolicyError
from zerotrust.registry.files import SCHEMA
from zerotrust.registry.model import Registry
from zerotrust.runtime import policy_of

MOST_ANSWERS = 200
"""Changed answers that are told; whoever changes more of them has another table in mind."""


class Changed(NamedTuple):
    """A question of the decision tables that the two versions answer differently."""

    user: str
    through: str
    """The parties on the way, the last of which asks."""
    scopes: str
    does: str
    at: str
    before: str
    after: str


def files(content: Content) -> Mapping[str, str]:
    """Return the text of each file, by its name in the folder."""
    return {**content.policies, SCHEMA: content.cedar_schema, FILE: content.table}


def texts(old: Content, new: Content, *, before: str, after: str) -> str:
    """Return the unified difference of all files; empty if there is none.  `before`, `after`: names of the two."""
    one, other = files(old), files(new)
    found: list[str] = []
    for name in sorted(one.keys() | other.keys()):
        left, right = (side.get(name, "").splitlines() for side in (one, other))
        found += unified_diff(left, right, f"{before}/{name}", f"{after}/{name}", lineterm="")
    return "\n".join(found)


def answers(old: Content, new: Content, registry: Registry) -> list[Changed]:
    """Return the questions of both decision tables that get another answer, or the same from other rules.

    Raises `PolicyError` if one of the two does not fit this registry.
    """
    before, after = policy_of(old.document, registry), policy_of(new.document, registry)
    found = dict[Changed, None]()
    for row in (*_rows(new, registry), *_rows(old, registry)):
        one, other = _said(row.ask(before)), _said(row.ask(after))
        if one != other and len(found) < MOST_ANSWERS:
            found[Changed(*row.words(registry), one, other)] = None
    return [*found]


def told(old: Content, new: Content, registry: Registry, *, before: str, after: str) -> dict[str, Any]:
    """Return both: `text`; and `answers`, or None if one of the two does not fit this registry."""
    text = texts(old, new, before=before, after=after)
    try:
        return {"text": text, "answers": [one._asdict() for one in answers(old, new, registry)]}
    except (PolicyError, ValueError):
        return {"text": text, "answers": None}


def _rows(content: Content, registry: Registry) -> Iterator[Row]:
    """Yield the questions of a table; none if it does not fit this registry, which is told elsewhere."""
    try:
        yield from rows(content.table, registry)
    except TableError:
        return


def _said(decision: Decision) -> str:
    return f"{SAID[decision.allowed]} ({', '.join(decision.rules) if decision.allowed else decision.reason})"
