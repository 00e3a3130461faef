"""A refusal is explained by the rules that came nearest, and by what each of them missed."""

import pytest

from authorities.policy import decisions, explain
from authorities.policy.callers import caller
from tests.support.system import POLICIES, POLICY, registry
from zerotrust.decision import Resource

REGISTRY = registry()
EXPLAINED = explain.Explanations(POLICY, REGISTRY)
TABLE = decisions.read_rows((POLICIES / decisions.FILE).read_text(), REGISTRY)


def nearest(row: decisions.Row) -> dict[str, tuple[str, ...]]:
    return {near.rule.id: near.missed for near in EXPLAINED.nearest(row.who, row.action, row.at)}


def test_a_rule_permits_where_it_missed_nothing_and_only_there() -> None:
    """Over the whole decision table: what the conditions say one by one is what the policies say together."""
    for row in TABLE:
        permitted = {name for name, missed in nearest(row).items() if not missed}
        assert permitted == (set(row.by.split(", ")) if row.allowed else set()), row


def test_every_condition_of_the_rules_has_words_and_every_words_a_condition() -> None:
    used = {words for rule, policy, _ in EXPLAINED._rules for words, _ in EXPLAINED._conditions_of(rule, policy)}

    assert used == set(explain.MISSED.values())


ENGINEERING = {"/engineering"}
READER, WRITER = REGISTRY.id("agent/reader"), REGISTRY.id("agent/writer")
TOOL = REGISTRY.id("tool/documents")


def document(**changed: str) -> Resource:
    known = {"department": "/engineering", "state": "published", "owner": "bob", "classification": "internal"}
    return Resource("Document", "D-1", tuple((known | changed).items()))


@pytest.mark.parametrize(
    ("agent", "scopes", "groups", "action", "at", "told"),
    [
        (READER, "tool.read", "/finance", "document.read", document(), {
            "read-own-department": ("the document is not in a department of the user",),
            "read-public": ("the document is not public",),
        }),
        (WRITER, "tool.write", "/engineering", "document.replace", document(), {
            "replace-published-in-person": ("a party acts for the user, and only a person may do this",),
        }),
        (READER, "", "/engineering", "tool.read", TOOL, {
            "use-an-api": ("the token does not have the scope tool.read",),
        }),
        (READER, "tool.read", "", "tool.write", TOOL, {
            "use-an-api": (
                "the token does not have the scope tool.write",
                "the registry does not let this party hold the scope",
                "the user belongs to no department",
                "a party acts for the user, but not in one department",
            ),
        }),
        (READER, "tool.read", "/engineering", "tool.read", TOOL, {"use-an-api": ()}),
        (READER, "tool.read", "/engineering", "document.erase", document(), {}),
    ],
)  # fmt: skip
def test_what_is_missed_is_told(
    agent: str, scopes: str, groups: str, action: str, at: str | Resource, told: dict[str, tuple[str, ...]]
) -> None:
    who = caller(agent, subject="alice", actors=(agent,), scopes=scopes.split(), groups=groups.split())

    assert {near.rule.id: near.missed for near in EXPLAINED.nearest(who, action, at)} == told


def test_a_condition_without_words_is_told_in_cedar() -> None:
    rule = """@id("odd") permit (principal, action == Action::"document.read", resource)
    when { context.subject == "alice" } unless { context.groups.contains("/x") };"""
    odd = explain.Explanations(POLICY.model_copy(update={"policies": rule}), REGISTRY)
    who = caller(READER, subject="bob", actors=(READER,), groups={"/x"})

    [near] = odd.nearest(who, "document.read", document())

    one, other = near.missed
    assert one.startswith("a condition does not hold: ")
    assert "subject" in one
    assert "alice" in one
    assert "/x" in other
    assert "!" in other
