"""Compares two versions of the policies by the rules and the answers that change.  Pure."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from authorities.policy import cedar
from authorities.policy.decisions import SAID, Row, TableError, read_rows
from authorities.policy.versions import Content
from zerotrust.decision import Decision
from zerotrust.limits.bounded import cut
from zerotrust.policy import PolicyError
from zerotrust.registry.model import Registry
from zerotrust.runtime import policy_of

MOST_ANSWERS = 200
"""Changed answers that are reported; with more, it would be another table."""
LONGEST_SAID = 200
"""Characters of one answer: many rules can give it."""
NO_RULE = "no rule"
SAME_SENTENCE = "the same sentence, but another rule"


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


def answers(old: Content, new: Content, registry: Registry) -> list[Changed]:
    """Return the questions of both decision tables that get another answer, or the same from other rules.

    Newly permitted questions come first, then newly refused ones, then those with only other rules or reasons.  Of
    each, the old table's come first: the author of the new one may have put many rows before those that matter.  Raises
    `PolicyError` if one of the two does not fit this registry.
    """
    before, after = policy_of(old.document, registry), policy_of(new.document, registry)
    found = dict[Changed, tuple[bool, bool]]()
    for row in (*_rows(old, registry), *_rows(new, registry)):
        one, other = row.ask(before), row.ask(after)
        if (said := _outcome(one)) != (says := _outcome(other)):
            changed = Changed(*row.words(registry), cut(said, LONGEST_SAID), cut(says, LONGEST_SAID))
            found[changed] = one.allowed is other.allowed, one.allowed
    return sorted(found, key=found.__getitem__)


def rules(old: Content, new: Content) -> Iterator[dict[str, str]]:
    """Yield each rule that is added, removed or changed, with its sentence before and after.  Raises as `as_json`."""
    before, after = _by_id(old), _by_id(new)
    for name in sorted(before.keys() | after.keys()):
        one, other = before.get(name), after.get(name)
        if one != other:
            was, becomes = _sentence(one), _sentence(other)
            yield {"id": name, "before": was, "after": SAME_SENTENCE if was == becomes else becomes}


def describe(old: Content, new: Content, registry: Registry) -> dict[str, Any]:
    """Return `same`: whether all files are the same; `answers`: the changed ones, or None if a version does not fit
    this registry; `more`: the number of further ones; `rules`: the changed ones.
    """
    try:
        changed = [one._asdict() for one in answers(old, new, registry)]  # fails for what may not be parsed
    except (PolicyError, ValueError):
        return {"same": old == new, "answers": None, "more": 0, "rules": []}
    told = {"answers": changed[:MOST_ANSWERS], "more": len(changed[MOST_ANSWERS:])}
    return {"same": old == new, **told, "rules": [*rules(old, new)]}


def _by_id(content: Content) -> dict[str, dict[str, Any]]:
    parsed = enumerate(cedar.as_json(content.document.policies), 1)
    return {one.get("annotations", {}).get("id", f"rule {number}"): one for number, one in parsed}


def _sentence(rule: dict[str, Any] | None) -> str:
    return rule.get("annotations", {}).get("description", "") if rule else NO_RULE


def _rows(content: Content, registry: Registry) -> Iterator[Row]:
    """Yield the questions of a table; none if it does not fit this registry, which `fit.problems` reports."""
    try:
        yield from read_rows(content.table, registry)
    except TableError:
        return


def _outcome(decision: Decision) -> str:
    return f"{SAID[decision.allowed]} ({', '.join(decision.rules) if decision.allowed else decision.reason})"
