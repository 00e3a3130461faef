"""`make new-agent` and `make new-tool`: what they write fits, keeps every comment, and writes over nothing."""

import os
import shutil
from pathlib import Path

import pytest
import yaml

from local.alone import only_one
from registration import new
from registration.fit import of_compose, of_places, of_plan, of_policies, unreachable
from registration.new import NewError, Project, main, new_agent, new_tool, told
from tests.support.system import ROOT
from zerotrust.registry.model import Registry, load_registry

FOLDERS = "agents", "authorities/policy", "deploy", "orchestrator", "registration", "tools"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in FOLDERS:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("registry.yaml", "docker-compose.yml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


MODEL = "inference.run", "llama.chat"
"""What the model takes."""


def registered(project: Path) -> Registry:
    return load_registry(project / "registry.yaml")


def planned(project: Path) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    exec((project / "orchestrator" / "plan.py").read_text(), found)  # noqa: S102 - what was just written
    return found["AGENTS"]


def fits(project: Path) -> list[str]:
    """What `make register` would say, but for what it imports."""
    registry = registered(project)
    found = [*of_plan(planned(project), registry), *unreachable(registry), *of_policies(project, registry)]
    return [*found, *of_places(project, registry), *of_compose(project, registry)]


def test_a_new_agent_fits_as_it_is_written(project: Path) -> None:
    new_agent(project, "auditor").write()
    party = registered(project).parties["agent/auditor"]

    assert (party.may_call, party.delegates) == (["tool/documents", "inference"], ["tool.read", *MODEL])
    assert party.code == ["agents/auditor", "zerotrust"]
    assert planned(project)["agent/auditor"] == ("agent.invoke", "tool.read", *MODEL)
    assert fits(project) == []


def test_a_new_tool_is_for_nobody_until_an_agent_may_call_it(project: Path) -> None:
    new_tool(project, "ledger").write()
    assert [problem.partition(": a caller")[0] for problem in fits(project)] == [
        "registry.yaml: scopes.tool.ledger: nobody can use it"
    ]

    new_agent(project, "clerk", "ledger").write()
    assert registered(project).parties["agent/clerk"].delegates == ["tool.ledger", *MODEL]
    assert fits(project) == []


def test_an_agent_with_a_new_scope_brings_it_to_every_file_that_has_to_name_it(project: Path) -> None:
    new_agent(project, "counter", scope="tool.count").write()

    assert registered(project).scopes["tool.count"].served_by == ["tool/documents"]
    for name in "walkthrough", "orchestrator", "agent/counter":
        assert "tool.count" in registered(project).parties[name].delegates
    assert fits(project) == []


def test_the_code_is_the_writers_with_other_names(project: Path) -> None:
    new_agent(project, "auditor").write()
    code = (project / "agents" / "auditor" / "main.py").read_text()

    compile(code, "main.py", "exec")
    for name in "writer", "Writer", "documents =", "tool.write":
        assert name not in code
    for name in 'run("agent/auditor"', '"tool/documents", "tool.read"', 'Scope("agent.invoke"':
        assert name in code


def test_a_new_tool_has_its_own_name_and_scope(project: Path) -> None:
    new_tool(project, "ledger").write()
    code = (project / "tools" / "ledger" / "main.py").read_text()

    compile(code, "main.py", "exec")
    assert "xample" not in code
    assert 'TOOLS = {"ledger": "tool.ledger"}' in code


@pytest.mark.parametrize("file", ["registry.yaml", "docker-compose.yml", "deploy/local.yaml"])
def test_what_was_there_stays_there_with_its_comments(project: Path, file: str) -> None:
    before = (project / file).read_text().splitlines()
    new_tool(project, "ledger").write()
    new_agent(project, "clerk", "ledger").write()
    after = (project / file).read_text().splitlines()

    kept = [line for line in before if line in after]
    assert len(before) - len(kept) <= 4  # the lists that got longer
    assert [line for line in before if "#" in line] == [line for line in after if "#" in line]
    assert yaml.safe_load("\n".join(after))


def test_each_place_is_a_new_one(project: Path) -> None:
    for name in "auditor", "clerk", "counter":
        new_agent(project, name).write()
    places = yaml.safe_load((project / "deploy" / "local.yaml").read_text())["parties"].values()

    assert len({place["port"] for place in places}) == len(places)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Auditor", "cannot be a name"),
        ("a", "cannot be a name"),
        ("a" * 21, "cannot be a name"),
        ("two-words", "cannot be a name"),
        ("../reader", "cannot be a name"),
        ("lambda", "cannot be a name"),
        ("reader", "There is a party agent/reader already"),
        ("inference", "There is a party inference already"),
        ("keycloak", "There is a service keycloak in docker-compose.yml already"),
    ],
)
def test_a_name_that_cannot_be_is_refused(project: Path, name: str, why: str) -> None:
    for make in new_agent, new_tool:
        with pytest.raises(NewError, match=why):
            make(project, name)


def test_what_exists_is_not_written_over(project: Path) -> None:
    (project / "agents" / "auditor").mkdir()
    with pytest.raises(NewError, match="There is a folder agents/auditor already"):
        new_agent(project, "auditor")

    new_agent(project, "counter", scope="tool.ledger").write()
    with pytest.raises(NewError, match=r"There is a scope tool\.ledger already, served by tool/documents"):
        new_tool(project, "ledger")


def test_a_tool_or_scope_that_cannot_be_called_is_refused(project: Path) -> None:
    with pytest.raises(NewError, match=r"tool/ledger is no tool server.  TOOL is one of documents; `make new-tool"):
        new_agent(project, "auditor", "ledger")
    with pytest.raises(NewError, match=r"'task.run' cannot be the scope of a tool"):
        new_agent(project, "auditor", scope="task.run")
    new_tool(project, "ledger").write()
    with pytest.raises(NewError, match=r"tool/ledger does not serve tool.read.  SCOPE is one of tool.ledger, or a new"):
        new_agent(project, "auditor", "ledger", "tool.read")


def test_a_file_in_another_form_is_named_and_nothing_is_written(project: Path) -> None:
    registry = project / "registry.yaml"
    registry.write_text(registry.read_text().replace("may_call: [agent/reader, ", "may_call: [\n      agent/reader, "))
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}

    with pytest.raises(NewError, match=r"registry.yaml: .* add agent/auditor to may_call of orchestrator by hand"):
        new_agent(project, "auditor")
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before


def test_a_template_that_changed_is_named(project: Path) -> None:
    template = project / "agents" / "writer" / "main.py"
    template.write_text(template.read_text().replace("The writer, guarded", "Guarded"))

    with pytest.raises(NewError, match=r"agents/writer/main.py, from which agents are made, has no"):
        new_agent(project, "auditor")


def test_what_was_done_and_what_remains_is_said(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(new, "ROOT", project)
    assert main(["tool", "ledger", "", ""]) == 0
    said = capsys.readouterr().out
    for line in "  registry.yaml: party tool/ledger", "By hand:", "Then: make register, make up.":
        assert line in said

    assert main(["agent", "clerk", "ledger", ""]) == 0
    assert '  orchestrator/plan.py: when it takes part.  As it is, a task that begins with "Clerk:"' in (
        capsys.readouterr().out
    )
    assert main(["agent", "clerk", "", ""]) == 1
    assert capsys.readouterr().err == "There is a party agent/clerk already: choose another name.\n"


@pytest.mark.parametrize("arguments", [["agent", "clerk", "", ""], ["tool", "ledger"]])
def test_nothing_is_written_while_the_system_runs(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.setattr(new, "ROOT", project)
    (project / "run").mkdir()
    with only_one(project / "run"):
        before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
        assert main(arguments) == 1
        after = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}

    assert capsys.readouterr().err == f"It runs, as process {os.getpid()}: `make down` first, then repeat.\n"
    assert after == before


@pytest.mark.parametrize("arguments", [[], ["agent", "", "", ""], ["tool", ""], ["user", "x"], ["tool", "a", "b"]])
def test_without_a_name_it_says_how_it_is_used(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "make new-agent NAME=auditor [TOOL=documents] [SCOPE=tool.read]" in capsys.readouterr().err


def test_no_line_of_what_is_said_is_wider_than_a_page(project: Path) -> None:
    assert max(len(line) for line in told(new_agent(project, "auditor"), "agent/auditor").splitlines()) <= 110
    assert isinstance(new_agent(project, "auditor"), Project)
