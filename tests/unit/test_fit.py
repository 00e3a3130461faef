"""Each mistake that somebody makes who adds a party, an agent or a scope: `make register` names it and what to do."""

import copy
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from authorities.policy.decisions import MAX_TABLE
from orchestrator.plan import AGENTS
from registration.fit import problems
from registration.fit.code import of_code
from registration.fit.deployments import of_compose, of_places
from registration.fit.plan import of_plan
from registration.fit.policies import of_policies
from registration.fit.scopes import unreachable
from tests.support.system import ROOT
from zerotrust.registry.model import Registry

COMMITTED = yaml.safe_load((ROOT / "registry.yaml").read_text())
AUDITOR = {"id": "spiffe", "keycloak": "confidential", "code": ["agents/auditor", "zerotrust"]}


def registered(*changes: Callable[[dict[str, Any]], None]) -> Registry:
    document = copy.deepcopy(COMMITTED)
    for change in changes:
        change(document)
    return Registry.model_validate(document)


def new_scope(document: dict[str, Any]) -> None:
    document["scopes"]["tool.audit"] = {"served_by": ["tool/documents"]}


def held_by(*names: str) -> Callable[[dict[str, Any]], None]:
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
    for name in ("agents", "policies", "deploy"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    return tmp_path


def edit(file: Path, old: str, new: str) -> None:
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))


def test_what_is_committed_fits() -> None:
    assert problems(ROOT, registered()) == []


# --- a scope that no login hands on -----------------------------------------------------------------------------------


def test_a_scope_that_no_sign_in_has_is_named_with_the_party_that_lacks_it() -> None:
    assert unreachable(registered(new_scope, held_by("agent/reader", "orchestrator"))) == [
        (
            "registry.yaml: parties.orchestrator.delegates: no token with 'tool.audit' gets there: "
            "add it to `delegates` of walkthrough"
        ),
        (
            "registry.yaml: scopes.tool.audit: no party can use it: a caller of tool/documents needs it in "
            "`delegates`, and so does each party from the sign-in to that caller"
        ),
    ]


def test_a_scope_that_is_lost_on_the_way_is_named_where_it_is_lost() -> None:
    assert unreachable(registered(new_scope, held_by("agent/reader", "walkthrough")))[0] == (
        "registry.yaml: parties.agent/reader.delegates: no token with 'tool.audit' gets there: "
        "add it to `delegates` of orchestrator"
    )
    assert unreachable(registered(new_scope, held_by("agent/reader", "walkthrough", "orchestrator"))) == []


def test_a_scope_that_nobody_holds_is_named() -> None:
    [problem] = unreachable(registered(new_scope))

    assert problem.startswith("registry.yaml: scopes.tool.audit: no party can use it")


def test_a_party_with_rights_that_nobody_calls_is_named() -> None:
    def with_rights(document: dict[str, Any]) -> None:
        rights = {"may_call": ["inference"], "delegates": ["inference.run"], "max_ttl": 60}
        document["parties"]["agent/auditor"] |= rights

    assert unreachable(registered(an_auditor, with_rights)) == [
        "registry.yaml: parties.agent/auditor: no party may call it: add it to `may_call` of its callers"
    ]


# --- policies ---------------------------------------------------------------------------------------------------------

HELD = held_by("agent/reader", "walkthrough", "orchestrator")


def test_a_scope_without_an_action_is_named(project: Path) -> None:
    assert of_policies(project, registered(new_scope, HELD)) == [
        (
            'policies/schema.cedarschema: no action "tool.audit": '
            'add it to those `in [Action::"use"]`, so that a policy can permit it'
        )
    ]


def test_an_action_that_no_policy_permits_is_named(project: Path) -> None:
    with (project / "policies/schema.cedarschema").open("a") as file:
        file.write('action "tool.audit" appliesTo { principal: Party, resource: Party, context: Permission };\n')

    [problem] = of_policies(project, registered(new_scope, HELD))
    assert problem.startswith("policies: no policy permits 'tool.audit' to any party: ")

    edit(project / "policies/schema.cedarschema", '"tool.audit"', '"tool.audit" in [Action::"use"]')
    assert of_policies(project, registered(new_scope, HELD)) == []


def test_policies_that_do_not_fit_their_schema_are_named(project: Path) -> None:
    edit(project / "policies/apis.cedar", "context.permission", "context.permision")

    assert "permision" in of_policies(project, registered())[0]


def test_a_right_that_the_decision_table_denies_is_named(project: Path) -> None:
    def writing(document: dict[str, Any]) -> None:
        document["parties"]["agent/reader"]["delegates"].append("tool.write")

    found = of_policies(project, registered(writing))

    assert found
    for problem in found:
        assert re.match(r"policies: decisions\.md, line \d+ \([^()]+, tool\.write\): no by 'policy_denied'", problem)
        assert " expected, yes" in problem


@pytest.mark.parametrize("broken", [b"\xff", b"| bob |", b" " * (MAX_TABLE + 1)])
def test_a_decision_table_that_cannot_be_read_is_named(project: Path, broken: bytes) -> None:
    (project / "policies/decisions.md").write_bytes(broken)

    [problem] = of_policies(project, registered())
    assert problem.startswith("policies: ")


# --- calls in the code ------------------------------------------------------------------------------------------------

READER = "agents/reader/main.py"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'ToolClient(service, "tool/documents")',
            'ToolClient(service, "tool/ledger")',
            "it calls 'tool/ledger', which is not registered: add it under `parties` in registry.yaml",
        ),
        (
            'ToolClient(service, "tool/documents")',
            'ToolClient(service, "agent/writer")',
            "it calls 'agent/writer', and may not: add that to parties.agent/reader.may_call in registry.yaml",
        ),
        (
            '"tool/documents", "tool.read"',
            '"tool/documents", "tool.write"',
            "it asks for 'tool.write', and may not: add that to parties.agent/reader.delegates in registry.yaml",
        ),
        (
            '"tool/documents", "tool.read"',
            '"tool/documents", "tool.audit"',
            "it asks for 'tool.audit', which is no scope: add it under `scopes` in registry.yaml",
        ),
    ],
)
def test_a_call_that_the_registry_does_not_allow_is_named_with_its_line(
    project: Path, old: str, new: str, said: str
) -> None:
    for folder in ("orchestrator", "tools", "inference", "authorities/registry"):
        shutil.copytree(ROOT / folder, project / folder)
    edit(project / READER, old, new)
    line = next(n for n, text in enumerate((project / READER).read_text().splitlines(), 1) if new in text)

    assert of_code(project, registered()) == [f"{READER}:{line}: {said}"]


def test_a_callee_that_has_a_name_in_the_code_is_found(project: Path) -> None:
    (project / "orchestrator").mkdir()
    (project / "orchestrator" / "main.py").write_text(
        'A = "tool/documents"\nf = lambda s: s.exchange(A, "tool.read")\n'
    )

    assert of_code(project, registered()) == [
        (
            "orchestrator/main.py:2: it calls 'tool/documents', and may not: "
            "add that to parties.orchestrator.may_call in registry.yaml"
        )
    ]


def test_a_route_whose_scope_the_party_does_not_serve_is_named(project: Path) -> None:
    def elsewhere(document: dict[str, Any]) -> None:
        document["scopes"]["agent.invoke"]["served_by"] = ["agent/reader"]
        document["parties"]["orchestrator"]["may_call"].remove("agent/writer")

    assert of_code(project, registered(elsewhere)) == [
        (
            "agents/writer/main.py: a route needs 'agent.invoke': add agent/writer to `served_by` of that scope in "
            "registry.yaml"
        )
    ]


def test_a_scope_that_no_route_and_no_tool_needs_is_named(project: Path) -> None:
    assert of_code(project, registered(new_scope, HELD)) == [
        (
            "registry.yaml: scopes.tool.audit.served_by: tool/documents has no route or tool that needs it: "
            "add one in tools/documents"
        )
    ]


def test_code_that_cannot_be_imported_is_named(project: Path) -> None:
    assert of_code(project, registered(an_auditor)) == [
        "agents/auditor/main.py: cannot be imported (ModuleNotFoundError: No module named 'agents.auditor')"
    ]


# --- the plan ---------------------------------------------------------------------------------------------------------


def test_an_agent_in_the_plan_that_nobody_registered_is_named() -> None:
    assert of_plan({**AGENTS, "agent/auditor": ("agent.invoke",)}, registered()) == [
        (
            "orchestrator/plan.py: AGENTS has 'agent/auditor', which is not registered: "
            "add it under `parties` in registry.yaml"
        )
    ]


def test_an_agent_in_the_plan_that_the_orchestrator_may_not_call_is_named() -> None:
    assert of_plan({**AGENTS, "agent/auditor": ("agent.invoke",)}, registered(an_auditor)) == [
        "orchestrator/plan.py: AGENTS has 'agent/auditor': add that to parties.orchestrator.may_call in registry.yaml"
    ]


def test_a_scope_in_the_plan_that_cannot_be_handed_on_is_named() -> None:
    def said(*changes: Callable[[dict[str, Any]], None]) -> list[str]:
        return of_plan({"agent/reader": ("tool.audit",)}, registered(*changes))

    gets = "orchestrator/plan.py: AGENTS: 'agent/reader' gets 'tool.audit'"
    assert said() == [f"{gets}: add that under `scopes` in registry.yaml"]
    assert said(new_scope) == [f"{gets}: add that to parties.orchestrator.delegates in registry.yaml"]
    assert said(new_scope, held_by("orchestrator")) == [
        (
            f"{gets}, and can neither serve nor delegate it: remove it there, "
            "or add it to parties.agent/reader.delegates in registry.yaml"
        )
    ]
    assert said(new_scope, HELD) == []


# --- where it runs ----------------------------------------------------------------------------------------------------


def test_a_party_without_a_place_is_named_for_both_ways_of_running(project: Path) -> None:
    assert of_places(project, registered(an_auditor)) == [
        "deploy/local.yaml: parties.agent/auditor: missing",
        "deploy/containers.yaml: parties.agent/auditor: missing",
    ]


def test_a_party_without_a_container_is_named(project: Path) -> None:
    assert of_compose(project, registered(an_auditor)) == [
        "docker-compose.yml: agent/auditor has no container: add a service with `CODE: agents/auditor`"
    ]


def test_a_container_without_its_name_in_a_network_is_named(project: Path) -> None:
    edit(project / "docker-compose.yml", "aliases: [writer.agent.agents.example]", "aliases: [writer]")

    assert of_compose(project, registered()) == [
        "docker-compose.yml: services.writer.networks: none has the alias writer.agent.agents.example"
    ]


def test_networks_that_are_not_as_the_registry_allows_are_named(project: Path) -> None:
    edit(project / "docker-compose.yml", "      to-writer: {}\n", "")
    edit(project / "docker-compose.yml", "      to-documents: {}\n", "      to-documents: {}\n      to-writer: {}\n")

    assert of_compose(project, registered()) == [
        f"docker-compose.yml: services.{problem}"
        for problem in (
            "orchestrator.networks: to-writer is missing, and orchestrator may call agent/writer",
            "reader.networks: to-writer is too much: agent/reader may not call agent/writer",
        )
    ]


def test_a_compose_file_that_cannot_be_read_is_named(project: Path) -> None:
    (project / "docker-compose.yml").write_text("services: [")
    assert "docker-compose.yml: cannot be read" in of_compose(project, registered())[0]

    (project / "docker-compose.yml").unlink()
    assert "docker-compose.yml: cannot be read" in of_compose(project, registered())[0]


IS_THE_WRITERS = (
    "docker-compose.yml: services.{}.volumes: writer is the data of agent/writer: "
    "give agent/writer a volume of its own, or mount this one under /journals/ with `:ro`"
)


@pytest.mark.parametrize(
    "mount",
    [
        "writer:/elsewhere",
        "writer:/elsewhere:ro",
        "writer:/journals/agent-writer",
        "{ type: volume, source: writer, target: /journals/agent-writer }",
        "{ type: volume, source: writer, target: /elsewhere, read_only: true }",
    ],
)
def test_data_that_another_container_can_write_or_read_is_named(project: Path, mount: str) -> None:
    edit(project / "docker-compose.yml", '    volumes: ["database:/', f'    volumes: [{mount}, "database:/')

    assert of_compose(project, registered()) == [IS_THE_WRITERS.format("database")]


def test_a_volume_that_two_parties_share_is_named(project: Path) -> None:
    edit(project / "docker-compose.yml", '"reader:/data"', '"writer:/data"')

    assert IS_THE_WRITERS.format("reader") in of_compose(project, registered())


@pytest.mark.parametrize("volumes", ['["identity:/run/identity:ro"]', '["writer:/data", "reader:/data/"]'])
def test_a_party_without_one_volume_for_its_data_is_named(project: Path, volumes: str) -> None:
    edit(project / "docker-compose.yml", '["identity:/run/identity:ro", "writer:/data"]', volumes)

    assert (
        "docker-compose.yml: services.writer.volumes: agent/writer needs one volume at /data: `writer:/data`"
        in of_compose(project, registered())
    )


def test_a_journal_may_be_mounted_read_only_in_either_form(project: Path) -> None:
    other = "{ type: volume, source: writer, target: /journals/w, read_only: true }"
    edit(project / "docker-compose.yml", '    volumes: ["database:/', f'    volumes: [{other}, "database:/')

    assert of_compose(project, registered()) == []


def test_a_value_that_is_none_of_its_kind_in_the_compose_file_is_named_with_its_line(project: Path) -> None:
    edit(project / "docker-compose.yml", "\nvolumes:\n", "\nx-date: 2026-99-99\nvolumes:\n")

    [problem] = of_compose(project, registered())
    assert "not a value of 'timestamp'" in problem


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\nvolumes:\n", "\nvolumes:\n  keys: {}\n"),
        ("    <<: &tools\n", "    <<: &tools\n      profiles: [other]\n"),  # in what is merged, too
    ],
)
def test_a_name_that_stands_twice_in_the_compose_file_is_named_with_its_line(project: Path, old: str, new: str) -> None:
    edit(project / "docker-compose.yml", old, new)

    [problem] = of_compose(project, registered())
    assert re.fullmatch(r"docker-compose\.yml: cannot be read \(line \d+: duplicate name '\w+': .*\)", problem)
