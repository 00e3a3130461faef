"""The walkthrough, and the system left running: `make demo`, `make up`, `make down`."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Iterable
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.box import HORIZONTALS
from rich.table import Table
from rich.text import Text

from authorities.attestation.local.closed import NotClosedError
from authorities.attestation.local.launch import LaunchError
from authorities.attestation.verifier.measure import MeasureError
from demo.manual_steps import READY, REQUEST, steps
from demo.refusals import EVERYTHING, Attempt, attempts
from demo.revocation import operator, revocations, rogues
from demo.revocation_methods import pull_all
from demo.show import certificates, show_levers, show_parties, show_tokens, show_trail, tokens_of
from local.keycloak import URL
from local.keycloak_runtime import KeycloakError
from local.past import check_links, forget
from local.system import ROOT, DemoError, System, process_running, running
from registration.realm import USERS
from zerotrust.audit.event import Access, AuditEvent, Request
from zerotrust.audit.journal import first_bad_record
from zerotrust.registry.model import RegistryError
from zt.door import DoorError, sign_in_at
from zt.login import LoginError, sign_in
from zt.password import ask_password
from zt.terminal import Terminal

FOLDER = ROOT / "run"
STORY = FOLDER / "walkthrough"
"""The walkthrough starts from nothing each time, and leaves alone what `make up` keeps."""
CA = FOLDER / "ca.pem"
ISSUER = f"{URL}/realms/agents"
SECONDS_TO_END = 30
INTERRUPTED = "Interrupted; all that had been started has ended."
SAME_USER = (
    "Not refused: everything here runs as one Unix user, and a program of that user can read and write the files in "
    "run/. Among them are Keycloak's database, with the key that signs tokens, the documents and the journals; see "
    "README, What it does not do."
)
OURS = (DemoError, KeycloakError, LaunchError, LoginError, MeasureError, NotClosedError, RegistryError)
"""What is in the way, each with a sentence that says so."""

app = typer.Typer(add_completion=False, no_args_is_help=True)
# Where the output is no terminal: as wide as COLUMNS says, or wide enough for the tables.
console = Terminal(width=None if sys.stdout.isatty() else shutil.get_terminal_size((120, 24)).columns, highlight=False)
_began = time.monotonic()


def say(text: str | Text) -> None:
    """One line of progress, with the seconds since the start.  A `str` is printed as it is, and never as markup."""
    console.print(Text.assemble((f"{time.monotonic() - _began:5.1f} s", "dim"), "  ", text))


@app.command()
def walkthrough() -> None:
    """Start everything, run the story, try the refusals, end everything; fails if anything answers otherwise."""
    if process := process_running(FOLDER) if FOLDER.exists() else None:  # it has the ports
        console.print(f"`make up` runs here, as process {process}: `make down` ends it.")
        sys.exit(1)
    sys.exit(until_told(_walkthrough()))


@app.command()
def up() -> None:
    """Start everything and leave it running."""
    sys.exit(left_running([str(ROOT / "scripts" / "run"), "demo", "serve"]))


def left_running(command: list[str]) -> int:
    """Start a program, pass on what it says, and leave it running once it has said `READY`; return our exit status.

    One that ends before has failed, whatever its own status.  Where we are told to end, it is too, and waited for.
    """
    env = {**os.environ, "COLUMNS": str(console.width)}  # it sees a pipe, and we have the terminal
    process = subprocess.Popen(command, cwd=ROOT, env=env, start_new_session=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    told: list[int] = []

    def end(number: int, _frame: object) -> None:
        if not told:  # told twice, it would break off its own ending
            process.terminate()
        told.append(number)

    for number in signal.SIGTERM, signal.SIGINT:
        signal.signal(number, end)
    assert process.stdout  # noqa: S101 - a pipe, as asked for
    line = ""
    for line in process.stdout:
        print(line, end="", flush=True)
    if line.rstrip() == READY and not told:
        return 0
    status = process.wait()  # at the end of what it says it may still be ending
    if told:
        console.print(INTERRUPTED)
        return 128 + told[0]
    return status or 1


@app.command()
def serve() -> None:
    """Run everything in the foreground until told to end."""
    sys.exit(until_told(_serve()))


@app.command()
def down() -> None:
    """End what `up` left running."""
    process = process_running(FOLDER) if FOLDER.exists() else None
    if process is None:
        console.print("Nothing is running.")
        return
    os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + SECONDS_TO_END
    while time.monotonic() < deadline:
        if process_running(FOLDER) is None:
            console.print("Ended.")
            return
        time.sleep(0.1)
    console.print(f"Process {process} has not ended after {SECONDS_TO_END} s; see {FOLDER / 'logs'}.")
    sys.exit(1)


@app.command()
def fresh() -> None:
    """Forget what `up` kept: what is revoked, documents, journals, logs, and Keycloak's database."""
    if process := process_running(FOLDER) if FOLDER.exists() else None:
        console.print(f"It runs, as process {process}: `make down` ends it.")
        sys.exit(1)
    try:
        check_links(FOLDER)
    except NotADirectoryError as error:
        console.print(Text(str(error), style="red"))
        sys.exit(1)
    forget(FOLDER)
    console.print("Forgotten: what was revoked, documents, journals, logs, and Keycloak's database.")


@app.command()
def token(user: str, scope: Annotated[str, typer.Option(help="what the token may be used for")] = EVERYTHING) -> None:
    """Sign a user in at the running system, as a browser would, and print the access token.

    The password is asked for, or read from standard input.
    """
    password = ask_password()
    try:
        login = asyncio.run(sign_in_at(ISSUER, "walkthrough", user, password, scope, ca=CA))
    except DoorError as error:
        # Not where the token is expected.
        Terminal(stderr=True, highlight=False, soft_wrap=True).print(Text(str(error), style="red"))
        sys.exit(1)
    print(login.access_token)


def until_told(main: Coroutine[Any, Any, int]) -> int:
    """Run `main` until it ends or is told to; return its exit status, with a sentence where something is in the way."""

    async def work_until_told() -> int:
        work, loop = asyncio.create_task(main), asyncio.get_running_loop()
        for number in signal.SIGTERM, signal.SIGINT:
            loop.add_signal_handler(number, work.cancel, number.name)
        try:
            return await work
        except asyncio.CancelledError as told:
            if told.args != ("SIGINT",):
                return 0
            console.print(INTERRUPTED)
            return 128 + signal.SIGINT

    try:
        return asyncio.run(work_until_told())
    except (*OURS, OSError, httpx.HTTPError) as error:
        console.print(Text(str(error), style="red"))
        return 1


async def _walkthrough() -> int:
    insiders = ("orchestrator", "agent/reader", "agent/writer")
    async with running(STORY, say=say, insiders=insiders) as system:
        say(f"It started from nothing, in {STORY.relative_to(ROOT)}; what `make up` keeps stays as it is")
        console.rule("Who takes part")
        show_parties(console, system, await certificates(system))
        failures = await _try("Others who would", rogues(system))
        console.rule("The story")
        events = await _story(system)
        console.rule("Who was who on every hop")
        show_tokens(console, tokens_of(events))
        console.rule("What was written down")
        show_trail(console, events)
        _show_journals(system)
        failures += await _try("What is refused", attempts(system), _poisoned(events))
        console.print(SAME_USER)
        took: list[float] = []
        failures += await _try("Who loses their standing", revocations(system, took))
        for what, seconds in zip(
            ("its suspension was asked for", "a file was planted in its code"), took, strict=False
        ):
            say(f"the tool refused the writer {seconds * 1e3:.0f} ms after {what}")
        console.rule("How soon a revocation takes effect")
        async with system.user() as http:
            show_levers(console, await pull_all(system, await operator(system, http)))
        say("Everything ends")
    console.print("[red]Something answered otherwise than told.[/red]" if failures else "[green]All as told.[/green]")
    return 1 if failures else 0


async def _story(system: System) -> list[AuditEvent]:
    """Run alice's task and return everything that was written down about it."""
    keycloak = system.keycloak
    login = await sign_in(
        keycloak.issuer, "walkthrough", "alice", keycloak.passwords["alice"], EVERYTHING, verify=keycloak.tls
    )
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
        state = f"[red]record {bad} is not what it was[/red]" if bad else "chain intact"
        console.print(f"{journal.relative_to(ROOT)}: {len(system.events(name))} records, {state}")


def _poisoned(events: list[AuditEvent]) -> list[Attempt]:
    """What the poisoned report talked the model into, in the story: it is on record how it ended."""
    found = []
    for who, what, operation, wanted, control in (
        ("the reader, told to by ENG-104", "overwrites a report", "tools/call replace", "scope_missing", "gate: scope"),
        ("the reader, told to by ENG-104", "reads finance's forecast", "document.read", "resource_denied", "policy"),
        ("the writer, told to by the summary", "overwrites a report", "document.replace", "resource_denied", "policy"),
    ):
        decided = [event.data for event in events if isinstance(event.data, Request | Access)]
        reasons = {d.decision.reason for d in decided if operation in d.operation and not d.decision.allowed}
        told = f"in the journal: {wanted}"
        found.append(Attempt(who, what, control, told, told if wanted in reasons else "not refused"))
    return found


async def _try(title: str, trying: AsyncIterator[Attempt], before: Iterable[Attempt] = ()) -> int:
    """Show what comes of each attempt; return how many did not end as told."""
    table = Table(box=HORIZONTALS, padding=(0, 1, 0, 0))
    for column in ("", "who", "tries what", "answer", "stopped by"):
        table.add_column(column, overflow="fold")
    failures = 0
    for attempt in [*before, *[one async for one in trying]]:
        failures += not attempt.as_told
        cells = (attempt.who, attempt.what, attempt.answered, attempt.control)
        table.add_row(_mark(attempt.as_told), *map(Text, cells))
        if not attempt.as_told:
            why = f"told {attempt.told}, answered {attempt.answered}"
            say(Text.assemble((why, "red"), f": {attempt.who} {attempt.what}"))
    console.rule(title)
    console.print(table)
    return failures


def _mark(as_told: bool) -> str:  # noqa: FBT001
    return "[green]✓[/green]" if as_told else "[red]✗[/red]"


async def _serve() -> int:
    async with running(FOLDER, say=say, keep=True) as system:
        _show_addresses(system)
        let_go(FOLDER / "logs" / "demo.log")
        await asyncio.Event().wait()
    return 0


def let_go(log: Path) -> None:
    """Give the pipe back to whoever started us.  What is said from now on goes to the terminal, or to `log`."""
    sys.stdout.flush()
    if sys.stderr.isatty():
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        return
    with log.open("ab") as file:  # whoever waits for the end of our errors would wait for as long as we run
        for stream in sys.stdout, sys.stderr:
            os.dup2(file.fileno(), stream.fileno())


def _show_addresses(system: System) -> None:
    keycloak = system.keycloak
    admin, password = keycloak.admin
    for name in system.registry.services:
        console.print(f"  {name:<16} {system.address(name)}")
    console.print(f"  {'Keycloak':<16} {keycloak.issuer}")
    console.print(f"  {'its admin page':<16} {URL}/admin  as {admin}, password {password}")
    for user, secret in keycloak.passwords.items():
        console.print(f"  {user:<16} password {secret}  in {', '.join(USERS[user][1]) or 'no group'}")
    console.print(steps(system), soft_wrap=True, markup=False)


if __name__ == "__main__":
    app(prog_name="scripts/run demo")
