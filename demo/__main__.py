"""The walkthrough: `make demo` starts everything, runs a task, tries what must be refused, and ends everything."""

import sys

import typer

from demo.intruder import INSIDERS
from demo.refusals import attempts
from demo.revocation import operator, revocations, rogues
from demo.revocation_methods import all_delays
from demo.show import certificates, show_delays, show_parties
from demo.story import poisoned, tell_story, try_all
from local.program import FOLDER, console, say, until_stopped
from local.system import ROOT, process_running, running

STORY = FOLDER / "walkthrough"
"""The walkthrough starts without data each time, and does not touch the data of `make up`."""
SAME_USER = (
    "Not refused: everything here runs as one Unix user, and a program of that user can read and write the files in "
    "run/. Among them are Keycloak's database, with the key that signs tokens, the documents and the journals; see "
    "README, What it does not do."
)


def walkthrough() -> None:
    """Start everything, run a task, try the refusals, end everything; fail if an answer is not as expected."""
    if process := process_running(FOLDER) if FOLDER.exists() else None:  # it uses the ports
        console.print(f"`make up` runs here, as process {process}: `make down` ends it.")
        sys.exit(1)
    sys.exit(until_stopped(_walkthrough()))


async def _walkthrough() -> int:
    async with running(STORY, say=say, insiders=INSIDERS) as system:
        say(f"It started without data, in {STORY.relative_to(ROOT)}; the data of `make up` is not touched")
        console.rule("Who takes part")
        show_parties(system, await certificates(system))
        failures = await try_all("Others who would", rogues(system))
        events = await tell_story(system)
        failures += await try_all("What is refused", attempts(system, system.authority.endpoint), poisoned(events))
        console.print(SAME_USER)
        took: list[float] = []
        failures += await try_all("Who is revoked", revocations(system, took))
        for what, seconds in zip(
            ("its suspension was asked for", "a file was planted in its code"), took, strict=False
        ):
            say(f"the tool refused the writer {seconds * 1e3:.0f} ms after {what}")
        console.rule("How soon a revocation takes effect")
        async with system.user() as http:
            show_delays(await all_delays(system, await operator(system, http)))
        say("Everything ends")
    console.print("[red]An answer was not as expected.[/red]" if failures else "[green]All as expected.[/green]")
    return 1 if failures else 0


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(walkthrough)
    app(prog_name="scripts/run demo")
