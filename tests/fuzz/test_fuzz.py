"""The coverage-guided fuzzer, for a moment; `make fuzz` is the long run.  What it finds becomes a test elsewhere."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS
from tests.support.system import ROOT


@pytest.mark.skipif(find_spec("atheris") is None, reason="there is no atheris for this machine or this Python")
@pytest.mark.parametrize("target", TARGETS)
def test_nothing_breaks(tmp_path: Path, target: str) -> None:
    command = [sys.executable, "-m", "tests.fuzz.fuzz", target, "-runs=500", "-seed=1"]
    fuzzed = subprocess.run(  # noqa: S603 - our own
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )

    assert "Done 500 runs" in fuzzed.stderr, fuzzed.stderr[-5000:]
    assert fuzzed.returncode == 0
    assert list((tmp_path / "run" / "fuzz" / target / "found").iterdir()) == []
