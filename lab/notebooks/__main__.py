"""`make notebooks`: runs the real system, and JupyterLab beside it; `write` executes the notebooks and stores them.

The system is a process of its own, `serve`, in this project or in a reader's copy of it (`systems.py`).
"""

import asyncio
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from demo.revocation import PLANTED
from lab.before.one_token.realm import realm
from lab.notebooks.attach import write
from lab.notebooks.copies import reading_copies
from lab.notebooks.execute import PYTHON, Kernels, check, executed, sources
from lab.notebooks.jupyter import copied, jupyterlab
from lab.notebooks.normal import differences
from lab.notebooks.places import COPY, OURS
from lab.notebooks.systems import PROGRESS, READY, systems
from local.program import ROOT, console, say, until_stopped
from local.start import running
from local.system import HOST
from zerotrust.registry.lock import REGISTRY
from zerotrust.registry.model import load_registry

KERNELS = Kernels(PYTHON, OURS.file)
LOG = OURS.folder / "jupyterlab.log"
"""Of JupyterLab; it is not among the system's, which are removed at each start."""

Names = Annotated[list[str] | None, typer.Argument(help="as 6_registration; by default, all")]

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command("open")
def open_all() -> None:
    """Run the system and JupyterLab until stopped."""
    sys.exit(until_stopped(_open()))


@app.command("write")
def write_all(names: Names = None) -> None:
    """Execute all notebooks, or some, and store them with their outputs."""
    sys.exit(until_stopped(_write(names or ())))


@app.command("check")
def check_all(names: Names = None) -> None:
    """Execute all notebooks, or some, and fail where an output is not the stored one."""
    sys.exit(until_stopped(_check(names or ())))


@app.command()
def serve(folder: str) -> None:
    """Run the system of this project in a folder of it, until standard input ends; this is what the others start."""
    sys.exit(until_stopped(_serve(ROOT / folder)))


async def _serve(folder: Path) -> int:
    here, ending = asyncio.current_task(), asyncio.create_task(_end_of_input())
    ending.add_done_callback(lambda _: here and here.cancel())  # also while the system starts
    registry = load_registry(ROOT / REGISTRY)
    insiders = ("orchestrator", *(name for name in registry.launched if name.startswith("agent/")))

    def say(text: str) -> None:
        print(f"{PROGRESS}{text}", flush=True)

    async with running(folder, say=say, insiders=insiders, parties=reading_copies) as system:
        say("Keycloak gets the realm of figure 1's system")
        async with realm(system.keycloak) as before:
            file = write(system, before)
            try:
                print(READY, flush=True)
                await ending
            finally:
                PLANTED.unlink(missing_ok=True)  # of a notebook that did not come to its end
                file.unlink(missing_ok=True)
    return 0


async def _end_of_input() -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(1024):
        pass


async def _check(names: Collection[str]) -> int:
    chosen = sources(names)
    async with systems(OURS, COPY, say) as both:
        return await check(KERNELS, chosen, both.our_own)


async def _write(names: Collection[str]) -> int:
    chosen = sources(names)
    async with systems(OURS, COPY, say) as both:
        for source in chosen:
            await both.our_own()
            say(f"{source.name} is executed")
            made, file = await executed(source, KERNELS), source.with_suffix(".ipynb")
            if not file.exists() or differences(file.read_text(), made):  # a chart alone is no reason
                file.write_text(made)
    return 0


async def _open() -> int:
    async with systems(OURS, COPY, say):
        say("JupyterLab starts, with copies of the notebooks")
        async with jupyterlab(KERNELS, LOG, HOST, 0, copied(OURS.folder / "copies")) as lab:
            console.print(f"\n  {lab.address(HOST)}\n", soft_wrap=True)
            console.print(
                "Open it in a browser. What you change is a copy, in run/notebooks/copies/notebooks. Ctrl-C ends it."
            )
            await lab.process.wait()
            say(f"JupyterLab has ended: {LOG}")
    return 1


if __name__ == "__main__":
    app(prog_name="scripts/run lab.notebooks")
