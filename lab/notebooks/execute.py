"""Executes the committed notebooks on a running system: each in a kernel of its own, in `.notebooks`."""

import asyncio
import json
import os
import tempfile
from collections.abc import Collection
from pathlib import Path

from lab.notebooks.attach import VARIABLE, secrets_of
from lab.notebooks.normal import differences, normal, secrets_in, texts_of
from registration.run_lock import RunError
from start.child import end, end_with
from start.program import console, say
from start.system import ROOT

SOURCES = ROOT / "notebooks"
PYTHON = ROOT / ".notebooks" / "bin" / "python"
OURS = ROOT / "lab" / "notebooks"
PREFIX = "zt-notebooks-"
KERNEL, TITLE = "zero-trust", "Zero trust (the running system)"
METADATA = {
    "kernelspec": {"display_name": TITLE, "language": "python", "name": KERNEL},
    "language_info": {
        "name": "python",
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "pygments_lexer": "ipython3",
    },
}
SECONDS = 1800
"""For a whole notebook, on a machine that does much else: each cell has its own limits."""


def sources(names: Collection[str] = ()) -> list[Path]:
    """Return the sources of the notebooks of these names, or of all, in their order.  Raises `RunError`."""
    known = {source.stem: source for source in sorted(SOURCES.glob("*.py"))}
    if unknown := sorted({*names} - known.keys()):
        raise RunError(f"there is no notebook {unknown[0]}; there are {', '.join(known)}")
    return [source for name, source in known.items() if not names or name in names]


def new_home() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for Jupyter, for a block.

    Jupyter and IPython run whatever lies in their folders, and a cell can write there: so none of it outlives its run.
    """
    return tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)  # a kernel may just be ending


def environment(file: Path, home: Path) -> dict[str, str]:
    """Return the variables of a Jupyter in its folder: our kernel, and nothing of the user's own settings.

    The kernel imports the project, and leaves no bytecode in it: to attestation, that would be drift.
    """
    if not PYTHON.exists():
        raise RunError(f"{PYTHON.relative_to(ROOT)} is missing: `make .notebooks/ready`")
    (kernel := home / "kernels" / KERNEL).mkdir(mode=0o700, parents=True)
    command = [str(PYTHON), "-B", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": TITLE, "language": "python"}
    meets = {VARIABLE: str(file), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    (kernel / "kernel.json").write_text(json.dumps(spec | {"env": meets}))
    places = ("JUPYTER_PATH", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "HOME")
    return {"PATH": os.environ.get("PATH", ""), **dict.fromkeys(places, str(home))}


async def check(file: Path, chosen: list[Path]) -> int:
    """Execute notebooks, print each line that is not the stored one, and return the exit status.

    Raises `RunError` as `execute_notebook` does.
    """
    wrong = 0
    for source in chosen:
        say(f"{source.name} is executed")
        differing = differences(source.with_suffix(".ipynb").read_text(), await execute_notebook(source, file))
        console.print("\n".join(differing), soft_wrap=True, end="\n" if differing else "")
        wrong += bool(differing)
    say(f"{wrong} of {len(chosen)} notebooks print something else than what is stored")
    return 1 if wrong else 0


async def execute_notebook(source: Path, file: Path) -> str:
    """Return a notebook with its outputs, as its file has to be.

    Raises `RunError` if a cell fails, or an output has something secret; it is not quoted.
    """
    given, known = {"source": source.read_text(), "metadata": METADATA}, secrets_of(file)  # noqa: ASYNC240 - small
    status, found, said = await _run(file, json.dumps(given).encode())
    if status:
        raise RunError(f"{source.name}: {said.decode(errors='replace')[-3000:]}")
    said_in_it = texts_of([cell.get("outputs") for cell in json.loads(found)["cells"]])
    if leaked := secrets_in(said_in_it) + ["a password" for one in known if one.lower() in said_in_it.lower()]:
        raise RunError(f"{source.name}: an output has a token, a key or a password ({leaked[0]})")
    return normal(found.decode())


async def _run(file: Path, given: bytes) -> tuple[int | None, bytes, bytes]:
    """Run `run_cells.py`; return the exit status, the notebook with its outputs, and what else was said."""
    parent = os.getpid()
    with new_home() as folder:
        home = Path(folder)
        process = await asyncio.create_subprocess_exec(
            *(str(PYTHON), "-I", "-B", str(OURS / "run_cells.py")),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(file, home),
            cwd=home,
            preexec_fn=lambda: end_with(parent),
        )
        try:
            async with asyncio.timeout(SECONDS):
                found, said = await process.communicate(given)
            return process.returncode, found, said
        finally:
            await end(process)  # and its kernel with it
