"""`make before`: the same attacks on the system of figure 1 and on the real one; then figure 3's is attacked."""

import sys

import typer

from registration.run_lock import running_process
from start.program import FOLDER, console, paragraph, run_until_stopped, showing_progress

INTRODUCTION = (
    "The same attacks, made by the same code, on two systems at one Keycloak: on the one that figure 1 of the series "
    "draws as today's (before), and on the real one, as `make demo` starts it (after). In the system of figure 1, the "
    "application gets one token, in which no user is named, good for everything, for an hour. The orchestrator checks "
    "it; agents and tool get it passed on, and check nothing but the tool's static key. The milliseconds are those of "
    "the call that decided an attack. After a sign-out, or a change of code, they count from the request for it to the "
    "first refusal."
)


def main() -> None:
    """Start the systems, attack them, and end everything; fail if an answer is not as expected."""
    if process := running_process(FOLDER):  # it uses the ports
        console.print(f"`make up` runs here, as process {process}: `make down` ends it.")
        sys.exit(1)
    paragraph(INTRODUCTION)
    console.print()
    sys.exit(run_until_stopped(_compare()))


async def _compare() -> int:
    with showing_progress("The program is loaded"):
        from lab.before.comparison import compare  # noqa: PLC0415 - takes seconds, and the introduction is first
    return await compare()


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app(prog_name="start/run lab.before")
