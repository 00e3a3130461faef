"""docs/reference/policies.md is what the rules, the registry and the decision table say now."""

import re
from collections.abc import Callable

import pytest

from authorities.policy.callers import caller
from authorities.policy.decisions import FILE, Row, rows
from authorities.policy.rules import rules_of
from tests.reference import policies
from tests.reference.pages import FOLDER
from tests.support.system import POLICY, registry
from zerotrust.decision import Resource
from zerotrust.registry.files import policy_files
from zerotrust.runtime import policy_of

REGISTRY = registry()
FILES = {file.name: file.read_text() for file in policy_files(policies.FOLDER)}
TABLE = rows((policies.FOLDER / FILE).read_text(), REGISTRY)
TEXT = (FOLDER / "policies.md").read_text()
ENGINE = policy_of(POLICY, REGISTRY)


def test_every_rule_and_every_party_that_calls_is_on_it() -> None:
    for rule in rules_of(POLICY.policies):
        assert f"| `{rule.id}` | {rule.sentence} |" in TEXT
    for name, party in REGISTRY.parties.items():
        assert (f"### {name}\n" in TEXT) is bool({*party.may_call} & REGISTRY.parties.keys())


def test_what_a_party_may_do_is_what_the_policies_answer() -> None:
    """The writer loses a right with the rule for it, and with the right in the registry."""
    line = "- It may create, delete and replace: a draft of the user's own.\n"
    assert line in section("agent/writer", policies.page(FILES, POLICY, REGISTRY, TABLE))

    both = 'in [Action::"document.replace", Action::"document.delete"]'
    fewer = FILES | {"documents.cedar": FILES["documents.cedar"].replace(both, '== Action::"document.delete"')}
    document = POLICY.model_copy(update={"policies": "\n".join(fewer.values())})
    after = section("agent/writer", policies.page(fewer, document, REGISTRY, TABLE))
    assert "- It may create and delete: a draft of the user's own.\n" in after

    party = REGISTRY.parties["agent/writer"].model_copy(update={"delegates": ["inference.run"]})
    less = REGISTRY.model_copy(update={"parties": REGISTRY.parties | {"agent/writer": party}})
    after = section("agent/writer", policies.page(FILES, POLICY, less, TABLE))
    assert "- It may use: `inference.run` at inference.\n" in after
    assert "- It may do nothing with: a draft of the user's own; " in after


def section(name: str, text: str) -> str:
    [found] = re.findall(rf"^### {name}\n(.*?)(?=^##)", text, re.MULTILINE | re.DOTALL)
    return str(found)


def test_whoever_reads_it_finds_why_bob_is_refused() -> None:
    [bob] = re.findall(
        r"^\| bob \| orchestrator > agent/reader \| tool\.read \| `document.read`: report \| (.*) \|$",
        TEXT,
        re.MULTILINE,
    )
    because, nearest = bob.split(" | ")
    assert because == "the report is engineering's, and bob works in finance"
    assert "`read-own-department`: the document is not in a department of the user" in nearest
    for row in TABLE:
        assert not row.because or row.allowed or f" | {row.because} |" in TEXT


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
        for actions, kinds in re.findall(r"^- It may ([a-z, ]+): (.*)\.$", section(name, TEXT), re.MULTILINE)
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
            [line] = re.findall(r"^- It may use: (.*)\.$", section(name, TEXT), re.MULTILINE)
            said = set(re.findall(r"`([\w.]+)` at ([\w/-]+)", line))
        actors = [] if party.starts_chains else [REGISTRY.id(name)]
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


HOLDS: dict[str, Callable[[Row], bool]] = {
    "the user belongs to no department": lambda row: not {ENGINEERING, FINANCE} & row.who.groups,
    "the user is not an operator": lambda row: "/operators" not in row.who.groups,
    "the document is not in a department of the user": lambda row: (
        known(row)["department"] not in {ENGINEERING, FINANCE} & row.who.groups
    ),
    "the document does not belong to the user": lambda row: known(row)["owner"] != row.who.subject.partition(",")[0],
    "the document is not a draft": lambda row: known(row)["state"] != "draft",
    "the document is not published": lambda row: known(row)["state"] != "published",
    "the document is not public": lambda row: known(row)["classification"] != "public",
    "the document is not internal": lambda row: known(row)["classification"] != "internal",
    "the document is not restricted": lambda row: known(row)["classification"] != "restricted",
    "the document is neither public nor internal": lambda row: (
        known(row)["classification"] not in {"public", "internal"}
    ),
    "a party acts for the user, and only a person may do this": lambda row: bool(row.who.actors),
}
"""Whether what a rule missed is so, by the question itself: written by hand, and never asked of the policies."""


def known(row: Row) -> dict[str, str]:
    assert isinstance(row.at, Resource)
    return dict(row.at.attributes)


def test_each_why_not_is_a_no_and_what_it_says_is_missing_is_missing() -> None:
    by_words = {row.words(REGISTRY): row for row in TABLE}
    cells = [line.strip("| ").split(" | ") for line in TEXT.partition("## Why not")[2].splitlines() if "`" in line]
    rows = [one for one in cells if len(one) == 6]
    told = set()
    for user, through, scopes, wants, _, near in rows:
        action, at = re.fullmatch(r"`(.*)`: (.*)", wants).groups()  # type: ignore[union-attr]
        row = by_words[user, through, scopes.removeprefix("none"), action, at]
        assert not row.ask(ENGINE), row
        for said in re.findall(r"the (?:user|document) [^;,|]*|a party acts for the user, and only[^;,|]*", near):
            if said in HOLDS:
                told.add(said)
                assert HOLDS[said](row), (said, row)

    assert len(rows) == sum(bool(row.because) and not row.allowed for row in TABLE)
    assert told == HOLDS.keys()
