"""docs/how-to/testbed.md: its example is typed off the page, in a folder far from here, against the wheel."""

import subprocess
from pathlib import Path

import pytest

from testkit.stack import Stack
from tests.support.system import ROOT
from tests.support.wheel import Install, install, wheel

__all__ = ["install", "wheel"]
pytestmark = pytest.mark.compose
PAGE = (ROOT / "docs" / "how-to" / "testbed.md").read_text()


def block(language: str) -> str:
    """The first block in that language."""
    return PAGE.partition(f"```{language}\n")[2].partition("```")[0]


def test_a_stranger_types_it_off_and_it_passes(intruders: Stack, install: Install, tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text(block("ini").replace("/path/to/this/repository", str(ROOT)))
    (tmp_path / "test_system.py").write_text(block("python"))

    command = [str(install("testbed") / "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--zt-keep"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False)  # noqa: S603

    assert "4 passed" in done.stdout, done.stdout + done.stderr
