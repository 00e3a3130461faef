"""JupyterLab beside a running system, and the folder of what a reader changes."""

import asyncio
import os
import re
import shutil
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from lab.notebooks.execute import PYTHON, environment, new_home, sources
from registration.run_lock import RunError
from start.child import end, end_with
from start.program import ROOT

FOLDER = "notebooks"
"""The same as in the project, so that the links of the notebooks lead to the same files."""
SECONDS = 30
"""For JupyterLab and its kernels to end by themselves: it kills a kernel that does not end within 5 s."""
_LINK = re.compile(r"\]\(\.\./([^)#\s]+)")


@asynccontextmanager
async def jupyterlab(file: Path, root: Path) -> AsyncIterator[Process]:
    """Run JupyterLab for a block, at 127.0.0.1 alone.  It prints its address, with a token that it makes.

    `root` is what `copy_notebooks` made.  Raises `RunError` if the notebooks cannot be signed.
    """
    parent, first = os.getpid(), sources()[0].with_suffix(".ipynb").name
    with new_home() as folder:
        variables = environment(file, Path(folder))
        await _sign(variables, _copies(root))
        process = await asyncio.create_subprocess_exec(
            *(str(PYTHON), "-I", "-B", "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1"),
            f"--ServerApp.root_dir={root}",
            f"--LabApp.default_url=/lab/tree/{FOLDER}/{first}",
            "--log-level=ERROR",  # the address is printed as critical
            *(["--allow-root"] if os.geteuid() == 0 else []),
            env=variables,
            cwd=folder,
            stdin=DEVNULL,
            start_new_session=True,  # Ctrl-C is for us
            preexec_fn=lambda: end_with(parent),
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError, TimeoutError):  # it ends its kernels first, which write in its folder
                process.terminate()
                await asyncio.wait_for(process.wait(), SECONDS)
            await end(process)


async def _sign(variables: dict[str, str], copies: list[Path]) -> None:
    """Have Jupyter trust the notebooks: it shows the figures of no others until they were run."""
    process = await asyncio.create_subprocess_exec(
        *(str(PYTHON), "-I", "-m", "nbformat.sign", *map(str, copies)),
        env=variables,
        cwd=variables["HOME"],
        stdin=DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise RunError(f"Jupyter cannot sign the notebooks: {said.decode(errors='replace')[-1000:]}")


def copy_notebooks(folder: Path) -> Path:
    """Make the reader's folder, and return it: the notebooks, and beside them each file that one of them links to.

    A notebook that is there stays as it is, for it is the reader's.  The other files are copied anew.
    """
    (folder / FOLDER).mkdir(mode=0o700, parents=True, exist_ok=True)
    for source, copy in zip(sources(), _copies(folder), strict=True):
        ours = source.with_suffix(".ipynb")
        if not copy.exists():
            shutil.copy(ours, copy)
        for name in set(_LINK.findall(ours.read_text())):
            if (ROOT / name).is_file():  # and no folder
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
    return folder


def _copies(folder: Path) -> list[Path]:
    return [folder / FOLDER / source.with_suffix(".ipynb").name for source in sources()]
