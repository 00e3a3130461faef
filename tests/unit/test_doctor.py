"""`make doctor` as a program, in a tree of its own, with a `docker` that says what a test wants."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from registration.run_lock import RunError
from start import doctor
from start.earlier_runs import recording_failure
from tests.support.system import ROOT


class Tree:
    """A tree of the project with free ports and no containers."""

    def __init__(self, folder: Path) -> None:
        self.root, self._bin = folder / "tree", folder / "bin"
        for name in ("start", ".venv/uv/bin", "run"):
            (self.root / name).mkdir(parents=True)
        shutil.copy(ROOT / "start" / "doctor.py", self.root / "start")
        (self.root / ".venv/uv/bin/uv").touch()
        self._bin.mkdir()

    def docker(self, script: str) -> None:
        """Put a `docker` on the path."""
        (self._bin / "docker").write_text(f"#!/bin/sh\n{script}\n")
        (self._bin / "docker").chmod(0o755)

    def containers(self, **states: Mapping[str, Any]) -> None:
        """Put one there with a container in each of these states, whose log has an error."""
        labels = {name: {"com.docker.compose.service": name} for name in states}
        told = [{"Id": name, "State": state, "Config": {"Labels": labels[name]}} for name, state in states.items()]
        self.docker(f"""
            case "$1" in
              compose) echo {" ".join(states)};;
              inspect) echo '{json.dumps(told)}';;
              logs) echo 'ERROR: the disk is full'; echo 'and then';;
            esac""")

    def ask(self, *arguments: str) -> tuple[int, str]:
        done = subprocess.run(  # noqa: S603 - the program under test
            [sys.executable, "-I", self.root / "start" / "doctor.py", *arguments],
            env={"PATH": str(self._bin)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_without_a_fault_it_says_so_and_writes_nothing(tree: Tree) -> None:
    before = sorted(tree.root.rglob("*"))

    assert tree.ask()[0] == 0
    assert sorted(tree.root.rglob("*")) == before


def test_the_last_start_that_failed_is_the_cause_with_keycloaks_last_error(tree: Tree) -> None:
    folder = tree.root / "run" / "walkthrough"
    (folder / "keycloak").mkdir(parents=True)
    (folder / "keycloak" / "keycloak.log").write_text("ERROR: no database\nit ends\n")
    with pytest.raises(RunError), recording_failure(folder):
        raise RunError("agent/reader does not start;\nits log")
    status, said = tree.ask()

    assert status == 1
    assert "agent/reader does not start; its log" in said
    assert "ERROR: no database\n" in said
    (folder / "keycloak" / "keycloak.log").write_text("INFO: it was well\n")
    assert "it was well" not in tree.ask()[1]
    with recording_failure(folder) as runs:
        runs.set()
    assert tree.ask()[0] == 0


# --- containers -------------------------------------------------------------------------------------------------------


HEALTHY = {"Status": "running", "ExitCode": 0, "Health": {"Status": "healthy"}}
DONE = {"Status": "exited", "ExitCode": 0}


def test_what_others_wait_for_is_the_cause_with_the_last_error_in_its_log(tree: Tree) -> None:
    unhealthy = HEALTHY | {"Health": {"Status": "unhealthy"}}
    tree.containers(setup=DONE, reader={"Status": "created", "ExitCode": 0}, keycloak=unhealthy, registry=HEALTHY)
    status, said = tree.ask()

    assert status == 1
    assert re.match(r"Cause: +keycloak: .*ERROR: the disk is full\n", said)
    assert "2 of 4 work" in said
    assert tree.ask("local")[0] == 0


def test_a_text_is_one_line_of_bounded_length_without_control_characters() -> None:
    text = doctor.clean("\033[2J\n" + "x" * 1000)

    assert (text.isprintable(), len(text)) == (True, doctor.MOST)


def test_a_docker_that_does_not_answer_is_ended_with_its_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SECONDS", 0.05)

    assert doctor.run("sh", "-c", "sleep 600 & wait")[:2] == (None, "")
