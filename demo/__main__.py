"""The walkthrough: `make demo` starts everything, runs a task, tries what must be refused, and ends everything."""

import sys
from collections.abc import AsyncIterator, Iterable

import typer
from rich.text import Text

from demo.intruder import INSIDERS
from demo.refusals import Attempt, attempts
from demo.revocation import operator, revocations, rogues
from demo.revocation_methods import all_delays
from demo.show import certificates, show_delays, show_parties, show_tokens, show_trail, tokens_of
from local.manual_steps import REQUEST
from local.program import FOLDER, console, say, show, until_told
from local.system import ROOT, System, process_running, running
from zerotrust.audit.event import Access, AuditEvent, Request
from zerotrust.audit.journal import first_bad_record

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
    sys.exit(until_told(_walkthrough()))


async def _walkthrough() -> int:
    async with running(STORY, say=say, insiders=INSIDERS) as system:
        say(f"It started without data, in {STORY.relative_to(ROOT)}; the data of `make up` is not touched")
        console.rule("Who takes part")
        show_parties(system, await certificates(system))
        failures = await _try("Others who would", rogues(system))
        console.rule("The story")
        events = await _story(system)
        console.rule("Who was who on every hop")
        show_tokens(tokens_of(events))
        console.rule("What was written down")
        show_trail(console, events)
        _show_journals(system)
        failures += await _try("What is refused", attempts(system), _poisoned(events))
        console.print(SAME_USER)
        took: list[float] = []
        failures += await _try("Who is revoked", revocations(system, took))
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


async def _story(system: System) -> list[AuditEvent]:
    """Run alice's task, and return all audit events of it."""
    login = await system.sign_in("alice")
    say(Text.assemble("alice signs in, and asks: ", (REQUEST, "italic")))
    headers = {"authorization": f"Bearer {login.access_token}"}
    async with system.user() as http:
        answer = await http.post(f"{system.address('orchestrator')}/tasks", json={"request": REQUEST}, headers=headers)
    answer.raise_for_status()
    for step in answer.json()["steps"]:
        if step["event"] != "started":
            say(Text.assemble((step["agent"], "bold"), f" {step['event']}: {step['text']}"))
            for refused in step["refused"]:
                say(Text.assemble("   ", ("tried in vain:", "red"), f" {refused}"))
    result = answer.json()["result"]
    say(f"the task {result['event']}: {result['text']}")
    trace = result["trace_id"]
    written = [event for name in system.registry.services for event in system.events(name)]
    return [event for event in written if event.trace and event.trace.trace_id == trace]


def _show_journals(system: System) -> None:
    for name in system.registry.services:
        journal = system.journal(name)
        bad = first_bad_record(journal)
        state = f"[red]record {bad} was changed[/red]" if bad else "chain intact"
        console.print(f"{journal.relative_to(ROOT)}: {len(system.events(name))} records, {state}")


def _poisoned(events: list[AuditEvent]) -> list[Attempt]:
    """Return the attempts that the poisoned report caused in the task, with their outcome from the journals."""
    found = []
    for who, what, operation, wanted, control in (
        ("the reader, told to by ENG-104", "overwrites a report", "tools/call replace", "scope_missing", "gate: scope"),
        ("the reader, told to by ENG-104", "reads finance's forecast", "document.read", "resource_denied", "policy"),
        ("the writer, told to by the summary", "overwrites a report", "document.replace", "resource_denied", "policy"),
    ):
        decided = [event.data for event in events if isinstance(event.data, Request | Access)]
        reasons = {d.decision.reason for d in decided if operation in d.operation and not d.decision.allowed}
        expected = f"in the journal: {wanted}"
        found.append(Attempt(who, what, control, expected, expected if wanted in reasons else "not refused"))
    return found


async def _try(title: str, trying: AsyncIterator[Attempt], before: Iterable[Attempt] = ()) -> int:
    """Show the outcome of each attempt; return how many were not as expected."""
    rows, failures = [], 0
    for attempt in [*before, *[one async for one in trying]]:
        failures += not attempt.as_expected
        mark = Text("✓", "green") if attempt.as_expected else Text("✗", "red")
        rows.append((mark, *map(Text, (attempt.who, attempt.what, attempt.answered, attempt.control))))
        if not attempt.as_expected:
            why = f"expected {attempt.expected}, answered {attempt.answered}"
            say(Text.assemble((why, "red"), f": {attempt.who} {attempt.what}"))
    console.rule(title)
    show(("", "who", "tries what", "answer", "stopped by"), rows)
    return failures


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(walkthrough)
    app(prog_name="scripts/run demo")
