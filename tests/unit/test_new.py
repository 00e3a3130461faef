"""`make new-agent` and `make new-tool`: they keep every comment, and write over nothing."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from registration.derived import differing
from registration.derived.compose import FILE
from registration.derived.kubernetes import FOLDER
from registration.names import CONTAINERS, KUBERNETES, LOCAL
from registration.parties import __main__ as commands
from registration.parties.add import add_agent, add_tool
from registration.parties.project import PartyError, Project
from registration.run_lock import exclusive_run
from tests.support.system import ROOT
from zerotrust.authority.files.snapshot_files import load_registry

FOLDERS = "agents", "policies", "orchestrator", "registration", "start", "tools"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in FOLDERS:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (ROOT / "registry.yaml", ROOT / "docker-compose.yml"):
        shutil.copy(path, tmp_path)
    return tmp_path


def new_agent(root: Path, name: str, tool: str = "documents", scope: str = "", new_scope: str = "") -> Project:
    project = Project.at(root)
    add_agent(project, name, tool, scope, new_scope)
    return project


def new_tool(root: Path, name: str) -> Project:
    project = Project.at(root)
    add_tool(project, name)
    return project


def test_what_was_there_stays_there_with_its_comments(project: Path) -> None:
    file = "registry.yaml"
    before = (project / file).read_text().splitlines()
    new_tool(project, "ledger").write()
    new_agent(project, "clerk", "ledger").write()
    after = (project / file).read_text().splitlines()

    kept = [line for line in before if line in after]
    assert len(before) - len(kept) <= 5  # the lists that got longer
    assert [line for line in before if "#" in line] == [line for line in after if "#" in line]
    assert yaml.safe_load("\n".join(after))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        *(
            (name, "cannot be a name")
            for name in ("Auditor", "a", "a" * 21, "two-words", "../reader", "lambda", "null", "yes")
        ),
        ("reader", "There is a party agent/reader already"),
        ("inference", "There is a party inference already"),
        ("keycloak", "There is a service keycloak in docker-compose.yml already"),
        ("accounts", "There is a volume accounts in docker-compose.yml already"),
        ("keys", "There is a volume keys in docker-compose.yml already"),
        ("identity", "There is a volume identity in docker-compose.yml already"),
        ("edge", "There is a network edge in docker-compose.yml already"),
        ("authorities", "There is a network authorities in docker-compose.yml already"),
    ],
)
def test_a_name_that_cannot_be_is_refused(project: Path, name: str, why: str) -> None:
    for make in new_agent, new_tool:
        with pytest.raises(PartyError, match=why):
            make(project, name)


def test_what_exists_is_not_written_over(project: Path) -> None:
    (project / "agents" / "auditor").mkdir()
    with pytest.raises(PartyError, match="There is a folder agents/auditor already"):
        new_agent(project, "auditor")

    new_agent(project, "counter", new_scope="tool.ledger").write()
    with pytest.raises(PartyError, match=r"There is a scope tool\.ledger already, served by tool/documents"):
        new_tool(project, "ledger")


def test_a_file_in_another_form_is_named_and_nothing_is_written(project: Path) -> None:
    registry = project / "registry.yaml"
    registry.write_text(registry.read_text().replace("may_call: [agent/reader, ", "may_call: [\n      agent/reader, "))
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}

    with pytest.raises(
        PartyError, match=r"registry.yaml is not in the form .* \+ agent/auditor in may_call of orchestrator$"
    ):
        new_agent(project, "auditor")
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("arguments", [["new-agent", "clerk", "", "", ""], ["new-tool", "ledger"]])
def test_nothing_is_written_while_the_system_runs(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.setattr(commands, "ROOT", project)
    (project / "run").mkdir()
    with exclusive_run(project / "run"):
        before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
        assert commands.main(arguments) == 1
        after = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}

    assert capsys.readouterr().err == f"It runs, as process {os.getpid()}: `make down` first, then repeat.\n"
    assert after == before


@pytest.mark.parametrize("name", ["agents", "registry.yaml", "agents/auditor"])
def test_nothing_is_written_through_a_link(project: Path, tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "it"
    if (project / name).exists():
        (project / name).rename(elsewhere)
    (project / name).symlink_to(elsewhere)
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}

    with pytest.raises(PartyError, match=f"^{name} is a link"):
        new_agent(project, "auditor").write()
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before


INJECTED = ['x"; touch made; echo "', "$(shell touch made)", "`touch made`", "$$(touch made)", "a[$$(touch made)]"]


@pytest.mark.parametrize("given", INJECTED)
@pytest.mark.parametrize(
    ("target", "variable", "passed_on"),
    [
        *((target, "NAME", True) for target in ("new-agent", "new-tool")),
        *(("new-agent", variable, True) for variable in ("TOOL", "SCOPE", "NEW_SCOPE")),
        ("up", "MODEL", True),
        ("up", "OPENAI_MODEL", False),
        ("doctor", "WAY", False),
        ("test", "TESTS", False),
        ("fuzz", "FUZZ_SECONDS", False),
        ("conformance", "A2A_TCK", False),
    ],
)
def test_make_runs_nothing_of_what_it_is_given(
    tmp_path: Path, target: str, variable: str, given: str, *, passed_on: bool
) -> None:
    run = tmp_path / "start" / "run"
    run.parent.mkdir()
    run.write_text("#!/bin/sh\nprintf '<%s>' \"$@\"\n")
    run.chmod(0o755)
    ready = ["-o", ".venv/ready", "-o", ".notebooks/ready"]
    words = ["-sf", str(ROOT / "Makefile"), *ready, target, f"{variable}={given}", "PYTHON=printf '<%s>'"]
    done = subprocess.run(["make", *words], cwd=tmp_path, capture_output=True, text=True, check=passed_on)  # noqa: S603, S607

    assert not passed_on or f"<{given}>" in done.stdout
    assert list(tmp_path.iterdir()) == [run.parent]


OWN = sorted({*re.findall(r"^(?:override )?(\w+) [:?]?=", (ROOT / "Makefile").read_text(), re.MULTILINE)} - {"PYTHON"})


@pytest.mark.parametrize("variable", OWN)
def test_make_runs_nothing_of_a_variable_of_its_own(tmp_path: Path, variable: str) -> None:
    """It is asked what it would do, for which it expands the recipes."""
    words = ["-nB", f"{variable}=$(shell touch {tmp_path}/made)", "test", "up", "fuzz", ".venv/ready"]
    done = subprocess.run(["make", *words], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603, S607

    assert "pip sync" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_new_agent_gets_a_container_an_address_and_a_network_that_its_caller_joins(project: Path) -> None:
    new_agent(project, "auditor").write()
    derived = differing(load_registry(project / "registry.yaml"), project)
    compose, local = (yaml.safe_load(derived[path]) for path in (FILE, LOCAL))
    services = compose["services"]

    assert derived.keys() >= {FILE, LOCAL, CONTAINERS, KUBERNETES, f"{FOLDER}/parties.yaml"}
    assert local["parties"]["agent/auditor"] == {"host": "127.0.0.1", "port": 8110}
    assert services["auditor"]["networks"].keys() == {"authorities", "to-auditor", "to-documents", "to-inference"}
    joined = {name for name, service in services.items() if "to-auditor" in service.get("networks", [])}
    assert joined == {"auditor", "orchestrator"}
    assert compose["networks"]["to-auditor"] == {"internal": True}
    assert "auditor" in compose["volumes"]
    for name in "walkthrough", "zt":
        assert "auditor:/journals/agent-auditor:ro" in services[name]["volumes"]
