"""`make notebooks`: runs the real system, and JupyterLab beside it; `write` executes the notebooks and stores them."""

import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from demo.revocation import PLANTED
from lab.before.one_token.realm import realm
from lab.notebooks.attach import NAME, write
from lab.notebooks.copies import launches_with_copy
from lab.notebooks.execute import SOURCES, check, execute_notebook, sources
from lab.notebooks.jupyter import copy_notebooks, jupyterlab
from lab.notebooks.normal import differences
from lab.notebooks.own import Copy, run_command
from start.everything import running
from start.program import ROOT, run_until_stopped, say
from zerotrust.authority.files.lock import REGISTRY
from zerotrust.authority.files.snapshot_files import load_registry

FOLDER = ROOT / "run" / "notebooks"
FILE = FOLDER / NAME
"""By which kernels meet the system."""
OWN, AGENT = "8_your_own_agent", "agent/finder"
"""The notebook about an agent that its reader has made, and that agent."""

Names = Annotated[list[str] | None, typer.Argument(help="as 6_registration; by default, all")]

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command("open")
def open_all() -> None:
    """Run the system and JupyterLab until stopped."""
    sys.exit(run_until_stopped(_open()))


@app.command("write")
def write_all(names: Names = None) -> None:
    """Execute all notebooks, or some, and store them with their outputs."""
    sys.exit(run_until_stopped(_execute(names or (), _write, "write")))


@app.command("check")
def check_all(names: Names = None) -> None:
    """Execute all notebooks, or some, and fail where an output is not the stored one."""
    sys.exit(run_until_stopped(_execute(names or (), lambda chosen: check(FILE, chosen), "check")))


@asynccontextmanager
async def _system() -> AsyncIterator[None]:
    """Run the system for a block, with the file by which kernels meet it."""
    registry = load_registry(ROOT / REGISTRY)
    insiders = ("orchestrator", *(name for name in registry.launched if name.startswith("agent/")))
    async with running(FOLDER, say=say, insiders=insiders, parties=launches_with_copy) as system:
        say("Keycloak gets the realm of figure 1's system")
        async with realm(system.keycloak) as before:
            file = write(system, before)
            try:
                yield
            finally:
                PLANTED.unlink(missing_ok=True)  # of a notebook that did not come to its end
                file.unlink(missing_ok=True)


async def _execute(names: Collection[str], execute: Callable[[list[Path]], Awaitable[int]], command: str) -> int:
    """Execute notebooks on the running system, and notebook 8 in a copy of the project that has its agent."""
    own = AGENT in load_registry(ROOT / REGISTRY).parties
    here = [source for source in sources(names) if own or source.stem != OWN]
    status = 0
    if here:
        async with _system():
            status = await execute(here)
    return status if here == sources(names) else await _execute_with_agent(command) or status


async def _execute_with_agent(command: str) -> int:
    """Type what notebook 8 tells its reader to type, in a copy of the project, and execute the notebook there."""
    tree = Copy().tree
    (tree / ".notebooks").symlink_to(ROOT / ".notebooks")
    for line in "make new-agent NAME=finder", "make register", f"start/run lab.notebooks {command} {OWN}":
        if status := await run_command(line, tree):
            return status
    shutil.copy(tree / SOURCES.name / f"{OWN}.ipynb", SOURCES)
    return 0


async def _write(chosen: list[Path]) -> int:
    for source in chosen:
        say(f"{source.name} is executed")
        made, file = await execute_notebook(source, FILE), source.with_suffix(".ipynb")
        if not file.exists() or differences(file.read_text(), made):
            file.write_text(made)
    return 0


async def _open() -> int:
    async with _system():
        say("JupyterLab starts, and prints its address: open it in a browser. Ctrl-C ends it")
        say("What you change is a copy, in run/notebooks/copies/notebooks")
        async with jupyterlab(FILE, copy_notebooks(FOLDER / "copies")) as lab:
            await lab.wait()
            say("JupyterLab has ended")
    return 1


if __name__ == "__main__":
    app(prog_name="start/run lab.notebooks")
