"""JupyterLab beside a running system, and the folder of what a reader changes."""

import asyncio
import os
import shutil
from asyncio.subprocess import Process
from pathlib import Path

from lab.notebooks.execute import Kernels, environment, sources


async def jupyterlab(kernels: Kernels, log: Path, token: str, **settings: str) -> Process:
    """Start JupyterLab.  `settings` are those of its server (`ServerApp`); whoever has the token may run cells."""
    kernels.home.mkdir(mode=0o700, exist_ok=True)
    with os.fdopen(os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as said:
        return await asyncio.create_subprocess_exec(
            *(str(kernels.python), "-I", "-m", "jupyterlab", "--no-browser"),
            *sorted(f"--ServerApp.{name}={value}" for name, value in settings.items()),
            env=environment(kernels) | {"JUPYTER_TOKEN": token},  # not among the arguments, which are public
            cwd=kernels.home,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,  # Ctrl-C is for us
        )


def copied(folder: Path) -> Path:
    """Return the folder of the reader's copies; one that is there stays as it is, for it is the reader's."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for source in sources():
        if not (copy := folder / source.with_suffix(".ipynb").name).exists():
            shutil.copy(source.with_suffix(".ipynb"), copy)
    return folder


def address(host: str, port: int, token: str) -> str:
    """Return the address of the first notebook."""
    return f"http://{host}:{port}/lab/tree/{sources()[0].with_suffix('.ipynb').name}?token={token}"
