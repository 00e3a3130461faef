"""A copy of the project in which somebody plants a module for everything that is imported."""

import importlib.metadata
import py_compile
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MARK = "PLANTED CODE RUNS"
OPTIONAL = ["sitecustomize", "usercustomize", "brotli", "zstandard"]
"""What the interpreter or a library imports where it happens to be there, and no package here provides."""


def plant(folder: Path) -> None:
    """Plant a module of each name that the standard library or an installed package has, and bytecode for our own."""
    # Built into the interpreter, so it works also where the interpreter is not up yet.
    code = f"import posix\nposix.write(1, b{MARK!r})\nposix._exit(3)\n"
    for name in {*sys.stdlib_module_names, *importlib.metadata.packages_distributions(), *OPTIONAL} - {"", ".."}:
        if "/" not in name and not (folder / name).exists():
            (folder / f"{name}.py").write_text(code)
    for package in ("zt", "demo", "authorities/registry"):
        source = folder / "code.txt"
        source.write_text(code)
        for module in (folder / package).rglob("*.py"):
            cached = module.parent / "__pycache__" / f"{module.stem}.{sys.implementation.cache_tag}.pyc"
            # Such a file is taken without a look at the source (PEP 552).
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
            py_compile.compile(str(source), str(cached), invalidation_mode=mode)


def said_by(command: list[str], folder: Path) -> str:
    """What a command prints that is run in `folder`, by somebody whose `PYTHONPATH` names it as well."""
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(folder), "HOME": str(folder)}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout + done.stderr
