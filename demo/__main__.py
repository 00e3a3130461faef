"""The walkthrough: `make demo` starts everything, tells the story of one task, and ends everything."""

import sys
from contextlib import AsyncExitStack

import typer

from demo.parts import INTRODUCTION
from registration.run_lock import running_process
from start.model import Model, ModelOption
from start.program import FOLDER, console, paragraph, progress_line, run_until_stopped, say, showing_progress

STORY = FOLDER / "walkthrough"
"""The walkthrough starts without data each time, and does not touch the data of `make up`."""


def walkthrough(model: ModelOption = Model.SCRIPT) -> None:
    """Start everything, run a task, try the refusals, end everything; fail if an answer is not as expected."""
    if process := running_process(FOLDER):  # it uses the ports
        console.print(f"`make up` runs here, as process {process}: `make down` ends it.")
        sys.exit(1)
    paragraph(INTRODUCTION)
    console.print()
    sys.exit(run_until_stopped(_walkthrough(model)))


async def _walkthrough(model: Model) -> int:
    with showing_progress("The program is loaded"):
        from demo.intruder import INSIDERS  # noqa: PLC0415 - takes seconds, and the introduction comes before
        from demo.walk import HERE, walk  # noqa: PLC0415
        from start.everything import running  # noqa: PLC0415
    async with AsyncExitStack() as stack:
        with progress_line("Everything starts"):
            provider = model.provider()
            # What inference holds for the model server is tried there.
            insiders = (*INSIDERS, "inference") if provider else INSIDERS
            system = await stack.enter_async_context(running(STORY, say=say, insiders=insiders, provider=provider))
        return await walk(system, HERE)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(walkthrough)
    app(prog_name="start/run demo")
