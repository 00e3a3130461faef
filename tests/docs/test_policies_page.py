"""docs/policies.md is what the rules, the registry and the decision table say now."""

import re

import pytest

from authorities.policy import page
from authorities.policy.decisions import FILE, rows
from authorities.policy.rules import rules_of
from tests.support.system import POLICY, registry
from zerotrust.registry.files import policy_files

REGISTRY = registry()
FILES = {file.name: file.read_text() for file in policy_files(page.FOLDER)}
TABLE = rows((page.FOLDER / FILE).read_text(), REGISTRY)
TEXT = page.PAGE.read_text()


def test_the_page_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    page.main()

    assert capsys.readouterr().out == TEXT, "scripts/run authorities.policy.page > docs/policies.md"


def test_every_rule_and_every_party_that_calls_is_on_it() -> None:
    for rule in rules_of(POLICY.policies):
        assert f"| `{rule.id}` | {rule.sentence} |" in TEXT
    for name, party in REGISTRY.parties.items():
        assert (f"### {name}\n" in TEXT) is bool({*party.may_call} & REGISTRY.parties.keys())


def test_what_a_party_may_do_is_what_the_policies_answer() -> None:
    """The writer loses a right with the rule for it, and with the right in the registry."""
    line = "- With a draft of the user's own: create, delete, replace.\n"
    assert line in section("agent/writer", page.page(FILES, POLICY, REGISTRY, TABLE))

    both = 'in [Action::"document.replace", Action::"document.delete"]'
    fewer = FILES | {"documents.cedar": FILES["documents.cedar"].replace(both, '== Action::"document.delete"')}
    document = POLICY.model_copy(update={"policies": "\n".join(fewer.values())})
    after = section("agent/writer", page.page(fewer, document, REGISTRY, TABLE))
    assert "- With a draft of the user's own: create, delete.\n" in after

    party = REGISTRY.parties["agent/writer"].model_copy(update={"delegates": ["inference.run"]})
    less = REGISTRY.model_copy(update={"parties": REGISTRY.parties | {"agent/writer": party}})
    after = section("agent/writer", page.page(FILES, POLICY, less, TABLE))
    assert "- It may use: `inference.run` at inference.\n" in after
    assert "- With a draft of the user's own: nothing.\n" in after


def section(name: str, text: str) -> str:
    [found] = re.findall(rf"^### {name}\n(.*?)(?=^##)", text, re.MULTILINE | re.DOTALL)
    return str(found)


def test_whoever_reads_it_finds_why_bob_is_refused() -> None:
    [bob] = re.findall(
        r"^\| bob \| orchestrator > agent/reader \| `document.read`: report \| (.*) \|$", TEXT, re.MULTILINE
    )
    because, nearest = bob.split(" | ")
    assert because == "the report is engineering's, and bob works in finance"
    assert "`read-own-department`: the document is not in a department of the user" in nearest
    for row in TABLE:
        assert not row.because or row.allowed or f" | {row.because} |" in TEXT
