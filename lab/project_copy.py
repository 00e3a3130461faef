"""Copies the project for a test or a reader that changes files, with a `.venv` that works in the copy."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = {".venv", ".ogx", ".notebooks"}
LEFT_OUT = {".git", "run", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"} | ENVIRONMENTS
_PINNED = "pyvenv.cfg", "environment.json"


def copy_of_the_project(target: Path) -> Path:
    """Copy the project to `target`, which is not there yet.  Return `target`.

    The copy's `.venv` shares the installed packages with ours: attestation measures them where they lie, and compares
    them with the pin of our installation.  `make` takes it for complete.
    """
    left_out = lambda folder, _: LEFT_OUT if Path(folder) == ROOT else {"__pycache__"}  # noqa: E731
    shutil.copytree(ROOT, target, ignore=left_out)
    prefix, ours = target / ".venv", ROOT / ".venv"
    (prefix / "bin").mkdir(parents=True)
    for name in _PINNED:
        shutil.copy(ours / name, prefix)
    for name in "lib", "bytecode":
        (prefix / name).symlink_to(ours / name)
    (prefix / "bin" / "python").symlink_to((ours / "bin" / "python").resolve())
    shutil.copy(target / "start" / "zt", prefix / "bin" / "zt")
    (prefix / "bin" / "zt").chmod(0o755)
    (prefix / "ready").touch()
    return target
