"""`make notebooks`: runs the real system, and JupyterLab beside it; `write` executes the notebooks and stores them."""

import asyncio
import os
import secrets
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import typer

from lab.before.one_token.realm import realm
from lab.notebooks.attach import write
from lab.notebooks.execute import PYTHON, Kernels, environment, executed, sources
from lab.notebooks.normal import differences
from local.llama_stack import end
from local.program import FOLDER, console, say, until_stopped
from local.start import running
from local.system import HOST

RUN = FOLDER / "notebooks"
LOG = RUN / "logs" / "jupyterlab.log"
INSIDERS = ("orchestrator", "agent/reader", "agent/writer")

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command("open")
def open_all() -> None:
    """Run the system and JupyterLab until stopped."""
    sys.exit(until_stopped(_open()))


@app.command("write")
def write_all() -> None:
    """Execute all notebooks, and store them with their outputs."""
    sys.exit(until_stopped(_write()))


@app.command("check")
def check_all() -> None:
    """Execute all notebooks, and fail where an output is not the stored one."""
    sys.exit(until_stopped(_check()))


@asynccontextmanager
async def _offered() -> AsyncIterator[Kernels]:
    """Run the system for a block, with the realm of figure 1, and have the file by which kernels meet it."""
    async with running(RUN, say=say, insiders=INSIDERS) as system, realm(system.keycloak) as before:
        file = write(system, before)
        try:
            yield Kernels(PYTHON, RUN / "jupyter", file)
        finally:
            file.unlink(missing_ok=True)


async def _check() -> int:
    wrong = 0
    async with _offered() as kernels:
        for source in sources():
            say(f"{source.name} is executed")
            differing = differences(source.with_suffix(".ipynb").read_text(), await executed(source, kernels))
            console.print("\n".join(differing), markup=False, soft_wrap=True, end="\n" if differing else "")
            wrong += bool(differing)
    say(f"{wrong} of {len(sources())} notebooks print something else than what is stored")
    return 1 if wrong else 0


async def _write() -> int:
    async with _offered() as kernels:
        for source in sources():
            say(f"{source.name} is executed")
            source.with_suffix(".ipynb").write_text(await executed(source, kernels))
    return 0


async def _open() -> int:
    async with _offered() as kernels:
        copies, token, port = copied(RUN / "copies"), secrets.token_hex(24), _free_port()
        settings = {f"--ServerApp.{name}={value}" for name, value in _settings(port, copies).items()}
        log = os.open(LOG, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        lab = await asyncio.create_subprocess_exec(
            *(str(PYTHON), "-I", "-m", "jupyterlab", "--no-browser", *sorted(settings)),
            env=environment(kernels) | {"JUPYTER_TOKEN": token},  # not among the arguments, which are public
            cwd=copies,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us
        )
        os.close(log)
        try:
            first = sources()[0].with_suffix(".ipynb").name
            console.print(f"\n  http://{HOST}:{port}/lab/tree/{first}?token={token}\n", soft_wrap=True)
            console.print("Open it in a browser. What you change is a copy, in run/notebooks/copies. Ctrl-C ends it.")
            await lab.wait()
            say(f"JupyterLab has ended: {LOG}")
        finally:
            await end(lab)
    return 1


def copied(folder: Path) -> Path:
    """Return the folder of the reader's copies; one that is there stays as it is, for it is the reader's."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for source in sources():
        if not (copy := folder / source.with_suffix(".ipynb").name).exists():
            shutil.copy(source.with_suffix(".ipynb"), copy)
    return folder


def _settings(port: int, folder: Path) -> dict[str, str]:
    return {"ip": HOST, "port": str(port), "port_retries": "0", "root_dir": str(folder), "allow_root": "True"}


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    app(prog_name="scripts/run lab.notebooks")
