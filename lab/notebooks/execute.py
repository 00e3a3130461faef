"""Executes the committed notebooks on a running system: each in a kernel of its own, in `.notebooks`."""

import asyncio
import json
import os
from pathlib import Path

from lab.notebooks.attach import VARIABLE, write
from lab.notebooks.normal import normal, secrets_in
from lab.notebooks.percent import KERNEL, notebook, stored
from local.alone import DemoError
from local.system import ROOT, System

SOURCES = ROOT / "notebooks"
PYTHON = ROOT / ".notebooks" / "bin" / "python"
OURS = ROOT / "lab" / "notebooks"
SECONDS = 180
"""For a whole notebook, on a slow machine."""


def sources() -> list[Path]:
    """Return the sources of all notebooks, in their order."""
    return sorted(SOURCES.glob("*.py"))


def environment(system: System) -> dict[str, str]:
    """Return the variables of Jupyter: our kernel, and nothing of the user's own settings."""
    if not PYTHON.exists():
        raise DemoError(f"{PYTHON.relative_to(ROOT)} is missing: `make .notebooks/ready`")
    home = system.folder / "jupyter"
    (kernel := home / "kernels" / KERNEL).mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [str(PYTHON), "-I", "-B", str(OURS / "kernel.py"), "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "Zero trust (the running system)", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec | {"env": {VARIABLE: str(write(system))}}))
    places = ("JUPYTER_PATH", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "HOME")
    return {"PATH": os.environ.get("PATH", ""), **dict.fromkeys(places, str(home))}


async def executed(source: Path, system: System) -> str:
    """Return a notebook with its outputs, as its file has to be.

    Raises `DemoError` if a cell fails, or an output has something secret; it is not quoted.
    """
    cells = notebook(source.read_text())  # noqa: ASYNC240 - one small file
    process = await asyncio.create_subprocess_exec(
        *(str(PYTHON), "-I", "-B", str(OURS / "run_cells.py")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(system),
        cwd=system.folder,
    )
    try:
        async with asyncio.timeout(SECONDS):
            found, said = await process.communicate(json.dumps(cells).encode())
    finally:
        if process.returncode is None:
            process.terminate()  # nbclient ends its kernel then
    if process.returncode:
        raise DemoError(f"{source.name}: {said.decode(errors='replace')[-3000:]}")
    outputs = [cell["outputs"] for cell in json.loads(found)["cells"] if cell["cell_type"] == "code"]
    known = [*system.keycloak.passwords.values(), system.keycloak.admin[1]]
    text = json.dumps(outputs, ensure_ascii=False)
    if leaked := secrets_in(text) + ["a password" for one in known if one in text]:
        raise DemoError(f"{source.name}: an output has a token, a key or a password ({leaked[0]})")
    return normal(stored(cells, outputs))
