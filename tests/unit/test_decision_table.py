"""The decision table, asked row by row; and that it notices each condition of a rule that is gone."""

import re
from dataclasses import replace

import pytest

from authorities.policy import decisions
from authorities.policy.decisions import Row, TableError, read_rows
from registration.realm.users import USERS
from tests.support.system import POLICIES, POLICY, registry
from zerotrust.decision import Resource
from zerotrust.runtime import policy_of

REGISTRY = registry()
ENGINE = policy_of(POLICY, REGISTRY)
TEXT = (POLICIES / decisions.FILE).read_text()
TABLE = read_rows(TEXT, REGISTRY)
LINES = TEXT.splitlines()


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"line {row.line}")
def test_the_policies_answer_as_written(row: Row) -> None:
    assert row.differs(row.ask(ENGINE)) == "", LINES[row.line - 1]


def test_the_people_are_in_the_groups_of_the_realm() -> None:
    groups = {row.who.subject: row.who.groups for row in TABLE}

    assert {name: frozenset(held) for name, (_, held) in USERS.items()}.items() <= groups.items()


CONDITION = re.compile(r"^  (?P<condition>.*?)(?P<and> &&)?(?:\s*//.*)?$")
CONDITIONS = [
    (number, found) for number, line in enumerate(POLICY.policies.splitlines()) if (found := CONDITION.match(line))
]
HELD_BY_THE_REGISTRY = {
    "context.scopes.contains(context.permission)",  # `CedarPolicy.decide` asks for the scope before
    'context.scopes.contains("registry.admin")',
    'principal.delegates.contains("registry.admin")',  # zt alone may hold it, and may call the registry alone
    "principal.may_call.contains(resource)",
    'context.scopes.contains("policy.admin")',
    'principal.delegates.contains("policy.admin")',  # zt-policy alone, likewise
    'resource.serves.contains("policy.admin")',
    'resource.serves.contains("registry.admin")',
}
"""Conditions of rules that no row can show, while something else says the same; `test_policy.py` shows each."""


@pytest.mark.parametrize(("number", "found"), CONDITIONS, ids=[found["condition"] for _, found in CONDITIONS])
def test_the_table_notices_each_condition_that_is_gone(number: int, found: re.Match[str]) -> None:
    lines = POLICY.policies.splitlines()
    lines[number] = f"  true{found['and'] or ''}"
    weaker = policy_of(POLICY.model_copy(update={"policies": "\n".join(lines)}), REGISTRY)

    wrong = [row for row in TABLE if row.differs(row.ask(weaker))]

    assert any(not row.allowed for row in wrong) or found["condition"] in HELD_BY_THE_REGISTRY


SCOPE_OF = {"read": "tool.read", "create": "tool.write", "replace": "tool.write", "delete": "tool.write"}


@pytest.mark.parametrize("verb", SCOPE_OF)
def test_nobody_does_with_a_document_what_the_token_has_no_scope_for(verb: str) -> None:
    """A rule that covered one more action than it names would permit it."""
    others = frozenset(REGISTRY.scopes) - {SCOPE_OF[verb]}
    documents = [(row.who, row.at) for row in TABLE if isinstance(row.at, Resource)]

    assert not any(ENGINE.decide_on(replace(who, scopes=others), f"document.{verb}", at) for who, at in documents)


HEAD = """
| user | groups |
|---|---|
| alice | /engineering |

| document | department | state | owner | classification |
|---|---|---|---|---|
| report | /engineering | published | the archive | internal |

| user | agent | scopes | does | document | answer | by | because |
|---|---|---|---|---|---|---|---|
"""


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("| bob | walkthrough | tool.read | document.read | report | yes | a-rule | |", "'bob' is in no table above"),
        ("| alice | walkthrough | tool.read | document.read | memo | yes | a-rule | |", "'memo' is in no table above"),
        ("| alice | walkthrough | tool.read | document.read | report | maybe | a-rule | |", "expected yes or no"),
        ("| alice | walkthrough | tool.read | document.read | report | yes |", "6 cells, expected user . agent . "),
    ],
)
def test_a_line_that_is_no_question_is_named(line: str, why: str) -> None:
    with pytest.raises(TableError, match=rf"^decisions\.md, line 12: .*{why}"):
        read_rows(HEAD + line, REGISTRY)
