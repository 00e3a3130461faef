"""The wheel, built from this tree, and environments of their own in which it is installed from a package index."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.system import ROOT

Install = Callable[..., Path]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by the backend that `pip install .` uses, here without an environment for it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-I", "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)  # noqa: S603
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def install(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Installs the wheel with these extras, and more, in an environment of its own; returns its `bin`."""
    uv = shutil.which("uv") or ROOT / ".venv/uv/bin/uv"

    def installed(extras: str, *more: str) -> Path:
        place = tmp_path_factory.mktemp("environment")
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, place], check=True)  # noqa: S603
        # Of the locked versions: no release of a package that comes tomorrow makes this fail.
        wanted = f"zero-trust-agents[{extras}] @ {wheel.as_uri()}"
        locked = ROOT / "start/locks/requirements.lock"
        command = [uv, "pip", "install", "-q", "--python", place, "-c", locked, wanted, *more]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode and any(why in done.stderr for why in ("Failed to fetch", "Could not connect", "dns error")):
            pytest.skip("no way to a package index")
        assert done.returncode == 0, done.stderr
        return place / "bin"

    return installed
