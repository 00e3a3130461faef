"""Each mistake that somebody makes who adds a party, an agent or a scope: `make register` names it and what to do."""

import copy
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from syrupy.assertion import SnapshotAssertion

from authorities.policy.decisions import MAX_TABLE
from registration.derived.addresses import port_problems
from registration.fit.code import code_problems
from registration.fit.policies import policy_problems
from registration.fit.scopes import unreachable_scopes
from tests.support.system import ROOT
from zerotrust.registry.model import Registry

COMMITTED = yaml.safe_load((ROOT / "registry.yaml").read_text())
AUDITOR = {"id": "spiffe", "keycloak": "confidential", "code": "agents/auditor"}


Change = Callable[[dict[str, Any]], None]
Check = Callable[[Path, Registry], list[str]]


def registered(*changes: Change) -> Registry:
    document = copy.deepcopy(COMMITTED)
    for change in changes:
        change(document)
    return Registry.model_validate(document)


def new_scope(document: dict[str, Any]) -> None:
    document["scopes"]["tool.audit"] = {"served_by": ["tool/documents"]}


def held_by(*names: str) -> Change:
    def change(document: dict[str, Any]) -> None:
        for name in names:
            document["parties"][name]["delegates"].append("tool.audit")

    return change


def an_auditor(document: dict[str, Any]) -> None:
    document["parties"]["agent/auditor"] = dict(AUDITOR)
    document["scopes"]["agent.invoke"]["served_by"].append("agent/auditor")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The files that are looked at."""
    for name in ("agents", "policies", "start"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def edit(file: Path, old: str, new: str) -> None:
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))


def writing(document: dict[str, Any]) -> None:
    document["parties"]["agent/reader"]["delegates"].append("tool.write")


def with_rights(document: dict[str, Any]) -> None:
    document["parties"]["agent/auditor"] |= {"may_call": ["inference"], "delegates": ["inference.run"], "max_ttl": 60}


def elsewhere(document: dict[str, Any]) -> None:
    document["scopes"]["agent.invoke"]["served_by"] = ["agent/reader"]
    document["parties"]["orchestrator"]["may_call"].remove("agent/writer")


def scopes(_project: Path, registry: Registry) -> list[str]:
    return unreachable_scopes(registry)


def ports(_project: Path, registry: Registry) -> list[str]:
    return [*port_problems(registry)]


def at_the_readers_port(document: dict[str, Any]) -> None:
    document["parties"]["agent/auditor"]["port"] = document["parties"]["agent/reader"]["port"]


HELD = held_by("agent/reader", "walkthrough", "orchestrator")
NOT_AT_SIGN_IN, LOST_ON_THE_WAY = held_by("agent/reader", "orchestrator"), held_by("agent/reader", "walkthrough")
MISTAKES: dict[str, tuple[Check, tuple[Change, ...]]] = {
    "a scope that no sign-in has": (scopes, (new_scope, NOT_AT_SIGN_IN)),
    "a scope that is lost on the way": (scopes, (new_scope, LOST_ON_THE_WAY)),
    "a scope that nobody holds": (scopes, (new_scope,)),
    "a party with rights that nobody calls": (scopes, (an_auditor, with_rights)),
    "a scope without an action": (policy_problems, (new_scope, HELD)),
    "a route whose scope its party does not serve": (code_problems, (elsewhere,)),
    "a scope that no route and no tool needs": (code_problems, (new_scope, HELD)),
    "code that cannot be imported": (code_problems, (an_auditor,)),
    "a party without a port": (ports, (an_auditor,)),
    "a port twice": (ports, (an_auditor, at_the_readers_port)),
}


def test_each_mistake_is_named_with_what_to_do(project: Path, snapshot: SnapshotAssertion) -> None:
    found = {mistake: check(project, registered(*changes)) for mistake, (check, changes) in MISTAKES.items()}

    assert told(found) == snapshot
    assert scopes(project, registered(new_scope, HELD)) == []


def told(found: dict[str, list[str]]) -> str:
    """What a person is told of each mistake, in whatever line it is."""
    lines = [line for mistake, problems in found.items() for line in (f"{mistake}:", *(f"  {one}" for one in problems))]
    return re.sub(r"\bline \d+", "line <number>", "\n".join(lines))


# --- policies ---------------------------------------------------------------------------------------------------------


def test_an_action_that_no_policy_permits_is_named(project: Path) -> None:
    with (project / "policies/schema.cedarschema").open("a") as file:
        file.write('action "tool.audit" appliesTo { principal: Party, resource: Party, context: Permission };\n')

    [problem] = policy_problems(project, registered(new_scope, HELD))
    assert problem.startswith("policies: no policy permits 'tool.audit' to any party: ")

    edit(project / "policies/schema.cedarschema", '"tool.audit"', '"tool.audit" in [Action::"use"]')
    assert policy_problems(project, registered(new_scope, HELD)) == []


def test_a_right_that_the_decision_table_denies_is_named(project: Path) -> None:
    found = policy_problems(project, registered(writing))

    assert found
    for problem in found:
        assert re.match(r"policies: decisions\.md, line \d+ \([^()]+, tool\.write\): no by 'policy_denied'", problem)
        assert " expected, yes" in problem


@pytest.mark.parametrize("broken", [b"\xff", b"| bob |", b" " * (MAX_TABLE + 1)])
def test_a_decision_table_that_cannot_be_read_is_named(project: Path, broken: bytes) -> None:
    (project / "policies/decisions.md").write_bytes(broken)

    [problem] = policy_problems(project, registered())
    assert problem.startswith("policies: ")


# --- calls in the code ------------------------------------------------------------------------------------------------

READER = "agents/reader/main.py"
CALLED, ASKED_FOR = 'ToolClient(service, "{}")', '"tool/documents", "{}"'


def test_a_call_that_the_registry_does_not_allow_is_named_with_its_line(
    project: Path, snapshot: SnapshotAssertion
) -> None:
    for folder in ("orchestrator", "tools", "inference", "authorities/registry"):
        shutil.copytree(ROOT / folder, project / folder)
    found, original = {}, (project / READER).read_text()
    for old, new in [
        (CALLED.format("tool/documents"), CALLED.format("tool/ledger")),
        (CALLED.format("tool/documents"), CALLED.format("agent/writer")),
        (ASKED_FOR.format("tool.read"), ASKED_FOR.format("tool.write")),
        (ASKED_FOR.format("tool.read"), ASKED_FOR.format("tool.audit")),
    ]:
        (project / READER).write_text(original.replace(old, new, 1))
        line = next(n for n, text in enumerate((project / READER).read_text().splitlines(), 1) if new in text)
        [problem] = code_problems(project, registered())
        assert problem.startswith(f"{READER}:{line}: ")
        found[new] = [problem.replace(f":{line}:", ":")]

    assert told(found) == snapshot


def test_a_callee_that_has_a_name_in_the_code_is_found(project: Path) -> None:
    (project / "orchestrator").mkdir()
    (project / "orchestrator" / "main.py").write_text(
        'A = "tool/documents"\nf = lambda s: s.exchange(A, "tool.read")\n'
    )

    [problem] = code_problems(project, registered())
    assert problem.startswith("orchestrator/main.py:2: it calls 'tool/documents', which it may not call")
