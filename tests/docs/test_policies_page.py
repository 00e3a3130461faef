"""docs/reference/policies.md is what the rules, the registry and the decision table say now."""

import re

import pytest

from authorities.policy.callers import caller
from authorities.policy.rules import rules_of
from tests.reference.pages import FOLDER
from tests.support.system import POLICY, registry
from zerotrust.decision import Resource
from zerotrust.runtime import policy_of

REGISTRY = registry()
TEXT = (FOLDER / "policies.md").read_text()
ENGINE = policy_of(POLICY, REGISTRY)


def test_every_rule_and_every_party_that_calls_is_on_it() -> None:
    for rule in rules_of(POLICY.policies):
        assert f"| `{rule.id}` | {rule.sentence} |" in TEXT
    for name, party in REGISTRY.parties.items():
        assert (f"### {name}\n" in TEXT) is bool({*party.may_call} & REGISTRY.parties.keys())


def section(name: str) -> str:
    [found] = re.findall(rf"^### {name}\n(.*?)(?=^##)", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


ACTIONS = "create", "delete", "read", "replace"
ENGINEERING, FINANCE = "/engineering", "/finance"
KINDS = {
    "a draft of the user's own": [(ENGINEERING, "draft", "alice", "internal")],
    "a restricted draft of the user's own": [(ENGINEERING, "draft", "alice", "restricted")],
    "a colleague's draft": [(ENGINEERING, "draft", "carl", "internal")],
    "what the user's department has published": [(ENGINEERING, "published", "carl", "internal")],
    "a restricted document of the user's own that is published": [(ENGINEERING, "published", "alice", "restricted")],
    "a restricted document of a colleague's that is published": [(ENGINEERING, "published", "carl", "restricted")],
    "a draft in another department, also the user's own": [
        (FINANCE, "draft", "alice", "internal"),
        (FINANCE, "draft", "bob", "internal"),
    ],
    "what another department has published": [(FINANCE, "published", "bob", "internal")],
    "what another department has published and made public": [(FINANCE, "published", "bob", "public")],
}
"""What a reader takes each kind for: department, state, owner and class; alice is of engineering."""
ATTRIBUTES = "department", "state", "owner", "classification"


def document(values: tuple[str, ...]) -> Resource:
    return Resource("Document", "D-1", tuple(zip(ATTRIBUTES, values, strict=True)))


@pytest.mark.parametrize("name", ["agent/reader", "agent/writer", "A user in person"])
def test_what_the_page_says_of_a_document_is_what_the_policies_decide(name: str) -> None:
    """Read as a person reads it: what is not said to be permitted is not."""
    said = {
        (kind, action)
        for actions, kinds in re.findall(r"^- It may ([a-z, ]+): (.*)\.$", section(name), re.MULTILINE)
        for kind in kinds.split("; ")
        for action in re.split(", | and ", actions)
        if action in ACTIONS
    }
    party = REGISTRY.parties.get(name)
    who = caller(
        REGISTRY.id(name) if party else "",
        subject="alice",
        actors=(REGISTRY.id(name), REGISTRY.id("orchestrator")) if party else (),
        scopes=party.delegates if party else ["tool.read", "tool.write"],
        groups=[ENGINEERING],
    )
    decided = {
        (kind, action)
        for kind, examples in KINDS.items()
        for action in ACTIONS
        if all(ENGINE.decide_on(who, f"document.{action}", document(one)) for one in examples)
    }

    assert said == decided
    assert {kind for kind, _ in said} < KINDS.keys()


def test_what_the_page_says_a_party_may_use_is_what_the_policies_decide() -> None:
    """Each scope of each party, at each other party, for a user of a department and for an operator."""
    for name, party in REGISTRY.parties.items():
        said = set()
        if f"### {name}\n" in TEXT:
            [line] = re.findall(r"^- It may use: (.*)\.$", section(name), re.MULTILINE)
            said = set(re.findall(r"`([\w.]+)` at ([\w/-]+)", line))
        actors = [] if party.starts_chains or party.operates else [REGISTRY.id(name)]
        decided = {
            (scope, at)
            for scope in REGISTRY.scopes
            for at in REGISTRY.parties
            for group in (ENGINEERING, "/operators")
            if ENGINE.decide(
                caller(
                    REGISTRY.id(name), subject="alice", actors=tuple(actors), scopes=party.delegates, groups=[group]
                ),
                scope,
                REGISTRY.id(at),
            )
        }
        assert said == decided, name
