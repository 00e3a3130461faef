"""The test bed as far as it needs no container: what the plugin costs, what it says without Docker, whom it asks."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from testkit.stack import Stack, StackError
from tests.support.system import ROOT

RUN = """
import sys; sys.path.append(sys.argv[1]); import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-p", "testkit.pytest_plugin", *sys.argv[2:]]))
"""
NOWHERE = {**os.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock"}


def python(source: str, *arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", source, str(ROOT), *arguments]
    return subprocess.run(command, cwd=folder, env=NOWHERE, capture_output=True, text=True, check=False)  # noqa: S603


@pytest.mark.parametrize(
    ("options", "status", "outcome"),
    [((), 1, "1 passed, 2 errors"), (("-rs", "-o", "zt_without_docker=skip"), 0, "1 passed, 2 skipped")],
)
def test_where_no_docker_answers_a_test_fails_unless_it_may_be_skipped(
    tmp_path: Path, options: tuple[str, ...], status: int, outcome: str
) -> None:
    (tmp_path / "test_it.py").write_text("def test_a(zt_stack): pass\ndef test_b(zt_stack): pass\ndef test_c(): pass")

    done = python(RUN, "-o", f"zt_folder={ROOT}", *options, folder=tmp_path)

    assert (done.returncode, outcome in done.stdout) == (status, True)
    assert "no Docker answers" in done.stdout
    assert "Traceback" not in done.stdout
    assert "another exception" not in done.stdout


def test_a_stack_that_is_there_already_is_neither_used_nor_removed_unless_it_is_kept() -> None:
    did = list[str]()

    class Here(Stack):
        def __init__(self) -> None:
            self.project = "project"
            self.docker = cast("Any", SimpleNamespace(close=lambda: None))

        def leftovers(self) -> list[str]:
            return ["project_keys"]

        def start(self) -> None:
            did.append("start")

        def stop(self) -> None:
            did.append("stop")

    with pytest.raises(StackError, match="has containers or volumes already"), Here().running():
        pass
    assert did == []
    with Here().running(keep=True):
        pass
    assert did == ["start"]
