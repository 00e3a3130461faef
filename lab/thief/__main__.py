"""The system with intruders and a thief: `make up INTRUDERS=1`, and the thief of `start/compose.intruders.yaml`."""

import asyncio
import sys
from pathlib import Path

import typer

from start.background import leave_running
from start.model import Model, ModelOption
from start.program import ROOT, run_until_stopped, showing_progress

IN_A_CONTAINER = Path("/data/thief.sock")

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command()
def up(model: ModelOption = Model.SCRIPT) -> None:
    """Start everything, with intruders and the thief, and leave it running."""
    sys.exit(leave_running([str(ROOT / "start" / "run"), "lab.thief", "serve", "--model", model.value]))


@app.command()
def serve(model: ModelOption = Model.SCRIPT) -> None:
    """Run the same in the foreground until stopped."""
    sys.exit(run_until_stopped(_serve(model)))


@app.command()
def listen() -> None:
    """Listen in a container, in the networks of all parties."""
    sys.exit(run_until_stopped(_listen()))


async def _serve(model: Model) -> int:
    with showing_progress("The program is loaded"):
        from demo.intruder import INSIDERS  # noqa: PLC0415 - takes seconds
        from lab.thief.listening import beside, launches  # noqa: PLC0415
        from start.serve import serve  # noqa: PLC0415

    return await serve(model, beside=beside, insiders=INSIDERS, parties=launches)


async def _listen() -> int:
    from demo.containers import connect, passwords  # noqa: PLC0415 - only there
    from lab.thief.listening import listening  # noqa: PLC0415

    async with listening(await connect(passwords()), IN_A_CONTAINER):
        await asyncio.Event().wait()
    return 0


if __name__ == "__main__":
    app(prog_name="start/run lab.thief")
