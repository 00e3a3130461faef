"""Contents of the policy authority: as the project has them, with a narrower rule, and with one that does not fit."""

from collections.abc import Callable

from authorities.policy.versions import Content, content_of
from tests.support.system import POLICIES, registry

REGISTRY = registry()
CONTENT = content_of(POLICIES)
DRAFTS = '[Action::"document.replace", Action::"document.delete"]'


def changed(old: str, new: str, *, table: Callable[[str], str] = str) -> Content:
    """The policies with another text in one file, and the decision table that goes with them."""
    assert old in CONTENT.policies["documents.cedar"]
    policies = CONTENT.policies | {"documents.cedar": CONTENT.policies["documents.cedar"].replace(old, new, 1)}
    return CONTENT.model_copy(update={"policies": policies, "table": table(CONTENT.table)})


def without_deleting(table: str) -> str:
    row = "| alice | {} | tool.write | document.delete | alice's draft | yes | change-own-draft | |"
    for who in ("orchestrator > agent/writer", "walkthrough"):
        assert row.format(who) in table
        table = table.replace(
            row.format(who),
            f"| alice | {who} | tool.write | document.delete | alice's draft | no | resource_denied | |",
        )
    return table


LESS = changed(f"in {DRAFTS}", '== Action::"document.replace"', table=without_deleting)
"""Nobody deletes a draft any more."""
WRONG = changed(f"in {DRAFTS}", '== Action::"document.replace"')
"""The same, and the table says otherwise."""
