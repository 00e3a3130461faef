"""What a kernel of the notebooks takes for the project's code."""

import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.system import ROOT

PLANTED = "print('planted')\n"
AS_A_KERNEL = "import runpy; runpy.run_path('lab/notebooks/kernel.py')['find_the_project']()"
AS_USUAL = "import sys; sys.path.insert(0, '') "


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project, each of whose modules has bytecode beside it that is of another source."""
    for file in ("lab/notebooks/kernel.py", "scripts/run.py"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_bytes((ROOT / file).read_bytes())
    for file in ("zt/__init__.py", "zt/one.py", "tools/some/two.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("print('genuine')\n")
    (other := tmp_path / "other.py").write_text(PLANTED)
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    for file in ("zt/__init__.py", "zt/one.py", "tools/some/two.py"):
        (cache := (tmp_path / file).parent / "__pycache__").mkdir(exist_ok=True)
        planted = cache / f"{Path(file).stem}.{sys.implementation.cache_tag}.pyc"
        py_compile.compile(str(other), str(planted), doraise=True, invalidation_mode=unchecked)
    return tmp_path


@pytest.mark.parametrize(("way", "runs"), [(AS_A_KERNEL, "genuine"), (AS_USUAL, "planted")])
def test_a_kernel_runs_sources_and_no_bytecode_that_lies_beside_them(project: Path, way: str, runs: str) -> None:
    command = [sys.executable, "-I", "-B", "-c", f"{way}; import zt.one, tools.some.two"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)  # noqa: S603 - ours

    assert (done.stdout, done.stderr) == (f"{runs}\n" * 3, "")
