"""JupyterLab beside a running system, and the folder of what a reader changes."""

import asyncio
import os
import re
import shutil
from asyncio.subprocess import DEVNULL, Process
from pathlib import Path

from lab.notebooks.execute import Kernels, environment, sources
from local.alone import DemoError
from local.program import ROOT

FOLDER = "notebooks"
"""The same as in the project, so that the links of the notebooks lead to the same files."""
_LINK = re.compile(r"\]\(\.\./([^)#\s]+)")


async def jupyterlab(kernels: Kernels, log: Path, token: str, folder: Path, **settings: str) -> Process:
    """Start JupyterLab for what `copied` made in a folder; `settings` are those of its server (`ServerApp`).

    Whoever has the token may run cells.  Raises `DemoError` if the notebooks cannot be signed.
    """
    kernels.home.mkdir(mode=0o700, exist_ok=True)
    await _sign(kernels, [copy for copy in _copies(folder) if copy.read_bytes() == _ours(copy).read_bytes()])
    settings["root_dir"] = str(folder)
    with os.fdopen(os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as said:
        return await asyncio.create_subprocess_exec(
            *(str(kernels.python), "-I", "-m", "jupyterlab", "--no-browser"),
            *sorted(f"--ServerApp.{name}={value}" for name, value in settings.items()),
            env=environment(kernels) | {"JUPYTER_TOKEN": token},  # not among the arguments, which are public
            cwd=kernels.home,
            stdin=DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,  # Ctrl-C is for us
        )


async def _sign(kernels: Kernels, copies: list[Path]) -> None:
    """Have Jupyter trust notebooks that are as committed: it shows the figures of no others until they were run."""
    process = await asyncio.create_subprocess_exec(
        *(str(kernels.python), "-I", "-m", "nbformat.sign", *map(str, copies)),
        env=environment(kernels),
        cwd=kernels.home,
        stdin=DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise DemoError(f"Jupyter cannot sign the notebooks: {said.decode(errors='replace')[-1000:]}")


def copied(folder: Path) -> Path:
    """Make the reader's folder, and return it: the notebooks, and beside them each file that one of them links to.

    A notebook that is there stays as it is, for it is the reader's.  The other files are copied anew.
    """
    (folder / FOLDER).mkdir(mode=0o700, parents=True, exist_ok=True)
    for copy in _copies(folder):
        if not copy.exists():
            shutil.copy(_ours(copy), copy)
        for name in linked(_ours(copy).read_text()):
            if (ROOT / name).is_file():  # a container has fewer
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
    return folder


def linked(notebook: str) -> set[str]:
    """Return the files of the project to which a notebook links, as paths from its root.  Pure."""
    return set(_LINK.findall(notebook))


def _copies(folder: Path) -> list[Path]:
    return [folder / FOLDER / _ours(source).name for source in sources()]


def _ours(notebook: Path) -> Path:
    return sources((notebook.stem,))[0].with_suffix(".ipynb")


def address(host: str, port: int, token: str) -> str:
    """Return the address of the first notebook."""
    return f"http://{host}:{port}/lab/tree/{FOLDER}/{sources()[0].with_suffix('.ipynb').name}?token={token}"
