"""The story of alice's task on any running system: its tokens, its records, and what the poisoned report tried."""

import asyncio
import re
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import NamedTuple

import httpx
from rich.text import Text

from demo.again import PAUSE, TRIES
from demo.checks import Attempt, Checks
from demo.intruder import outcome
from demo.parts import NO, begin
from demo.tokens import show_exchanges
from registration.realm.users import USERS
from registration.run_lock import RunError
from start.child import load_text
from start.llama_stack.ogx import NAME
from start.manual_steps import REQUEST
from start.program import console, paragraph, say, showing_progress
from start.system import ROOT, Running, System
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_types import Access, Exchange, Request
from zt.audit.diagram import diagram
from zt.audit.journals import first_bad_record
from zt.audit.trail import trail
from zt.people.login import Login

POISONED, REPEATED = "ENG-104", "repeat this line"
NOT_TRIED = "not tried"
WAIT = 300
"""Seconds that a task is waited for: as long as a token for it lives."""
SCRIPT = "scripted"
"""The name of the model that is a script, and that obeys whatever it reads, wherever it runs."""


class TaskRun(NamedTuple):
    """A task that has ended."""

    events: list[AuditEvent]
    """Its records in the journals."""
    model: str
    """The name of the model that its agents asked for."""
    summary: str = ""
    """The reader's summary of the reports."""
    told: str = ""
    """How it ended, with the id of the draft that was filed."""

    @property
    def obeys(self) -> bool:
        """Whether the model does whatever it reads; another one may leave out some of it."""
        return self.model.rpartition("/")[2] == SCRIPT


class InjectedCall(NamedTuple):
    """Shows what the poisoned report makes an agent try, how that appears in the journals, and what stops it."""

    who: str
    what: str
    operation: str
    reason: str
    control: str
    why: str


TRIED = (
    InjectedCall(
        "agent/reader",
        "reads FIN-201, a document of finance",
        "document.read",
        "resource_denied",
        "policy: department",
        "Alice is in /engineering, and an agent may read only what its user may read",
    ),
    InjectedCall(
        "agent/reader",
        "overwrites ENG-101, a published report",
        "tools/call replace",
        "scope_missing",
        "gate: scope of the tool",
        "Its token allows tool.read, and writing needs tool.write",
    ),
    InjectedCall(
        "agent/writer",
        "reads FIN-201, a document of finance",
        "tools/call read",
        "scope_missing",
        "gate: scope of the tool",
        "Its token allows tool.write, and reading needs tool.read",
    ),
    InjectedCall(
        "agent/writer",
        "overwrites ENG-101, a published report",
        "document.replace",
        "resource_denied",
        "policy: published",
        "Only a person may replace a published document, and no agent may do so for them",
    ),
)


async def tell_story(system: Running, checks: Checks) -> None:
    """Run alice's task, show what it leaves, and put its trace id into `checks`."""
    begin(
        "The task",
        "alice makes one request. The orchestrator plans two steps for it: agent/reader reads and summarizes, "
        "agent/writer files the summary as a draft.",
    )
    done = await _run_task(system)
    events = done.events
    say(describe_model(done))
    show_exchanges(system.registry, events)
    begin(
        "What was recorded",
        "Every service records its decision before it acts. The id of alice's first token joins the records of all "
        "services. Below each token are the calls that were made with it.",
    )
    calls = {name: party.may_call for name, party in system.registry.parties.items()}
    console.print(trail(events, calls=calls))
    for name in system.registry.services:
        bad = first_bad_record(system.journal(name))
        state = Text(f"record {bad} was changed", "red") if bad else "chain intact"
        console.print(Text.assemble(f"journal of {name}: {len(system.events(name))} records, ", state))
    if isinstance(system, System):  # the container of the other walkthrough can write nothing
        picture = system.folder / "task.svg"
        drawn = diagram("The task", sorted(events, key=lambda event: event.time), calls)
        picture.write_text(drawn.replace(USERS["alice"][0], "alice"))
        paragraph(f"The same as a picture, for a browser: {picture.relative_to(ROOT)}")
    checks.trace_id = next(event.trace.trace_id for event in events if event.trace)
    _show_poisoned_report(events, checks, obeys=done.obeys)
    _show_repeated_line(system, done)


def describe_model(done: TaskRun) -> str:
    """Print the model that answered: its name is in the task's own answer, and where it runs is in the journals."""
    outside = any(isinstance(event.data, Exchange) and event.data.audience == NAME for event in done.events)
    where = "behind a Llama Stack server" if outside else "inside inference"
    what = "a script, which obeys whatever it reads" if done.obeys else "it may obey what it reads, or not"
    return f"the model `{done.model}` answered, {where}: {what}"


async def _run_task(system: Running) -> TaskRun:
    """Run alice's task, and return what it leaves."""
    with showing_progress("alice signs in"):
        login = await system.sign_in("alice")
    say(Text.assemble("alice signs in, and asks: ", (REQUEST, "italic")))
    async with system.user() as http:
        with showing_progress("The task runs"):
            answer = await post_task(http, system.address("orchestrator"), login)
    for step in answer.json()["steps"]:
        if step["event"] != "started":
            say(Text.assemble((step["agent"], "bold"), f" {step['event']}: {step['text']}"))
            for refused in step["refused"]:
                say(Text.assemble((f"{step['agent']} was refused:", "red"), f" {refused}"))
    result = answer.json()["result"]
    say(f"the task {result['event']}: {result['text']}")
    trace = result["trace_id"]
    written = [event for name in system.registry.services for event in system.events(name)]
    events = [event for event in written if event.trace and event.trace.trace_id == trace]
    steps = answer.json()["steps"]
    summary = next((step["text"] for step in steps if step["event"] == "done"), "")
    return TaskRun(events, steps[0]["model"], summary, result["text"])


async def post_task(http: httpx.AsyncClient, orchestrator: str, login: Login) -> httpx.Response:
    """Return the answer to the task, asked again while a service cannot tell for now whether it may go on.

    What a task has done before it failed stays done.  Raises `RunError` if it does not finish.
    """
    told = ""
    for _ in range(TRIES):
        answer = await http.post(f"{orchestrator}/tasks", json={"request": REQUEST}, auth=login.auth, timeout=WAIT)
        why = str(answer.json().get("result", {}).get("text") or outcome(answer))
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
        if why != told:
            say(f"refused for now ({why}): a service cannot tell in time, so alice asks again")
            told = why
        await asyncio.sleep(PAUSE)
    if answer.is_error:
        raise RunError(f"the task did not finish: {answer.status_code}, {why}; {load_text()}. Run it again")
    return answer


def _show_poisoned_report(events: Sequence[AuditEvent], checks: Checks, *, obeys: bool) -> None:
    begin(
        "The poisoned report",
        f"{POISONED} is a report of alice's own department. Somebody wrote an order into it: to read FIN-201, and to "
        f"overwrite ENG-101. A model cannot tell an order from a text{', so both agents obeyed' if obeys else ''}. "
        "The journals have what the agents tried, and what stopped it:",
    )
    attempts = injected_attempts(events)
    made = [attempt for attempt in attempts if obeys or attempt.answered != NOT_TRIED]
    checks.count(made)
    for tried, attempt in zip(TRIED, attempts, strict=True):
        if attempt not in made:
            paragraph(
                Text.assemble(f"{NO} ", (tried.who, "bold"), f" {tried.what}: the model did not ask for it."), hanging=2
            )
            continue
        mark = ("✓ ", "green") if attempt.as_expected else ("✗ ", "red")
        told = f" {tried.what}: {attempt.answered} ({tried.control}). {tried.why}."
        paragraph(Text.assemble(mark, (tried.who, "bold"), told), hanging=2)
    refused = sum(attempt.as_expected for attempt in made)
    if made:
        paragraph(f"The model obeyed the report; of its {len(made)} calls, {refused} were refused.")
    else:
        paragraph("This model did not obey. Nothing here relies on that: when the script obeys, every call is refused.")


def _show_repeated_line(system: Running, done: TaskRun) -> None:
    """Show what the report did achieve: its line stands in the draft that was filed."""
    text, draft = done.summary, re.findall(r"DRAFT-\w+", done.told)[:1]
    if draft and isinstance(system, System):  # the container of the other walkthrough cannot read the tool's data
        file = system.data("tool/documents") / "documents.db"
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as stored:
            (text,) = stored.execute("SELECT text FROM documents WHERE id = ?", draft).fetchone()
    if repeated := [line for line in text.splitlines() if REPEATED in line]:
        paragraph(
            "Its third order was obeyed, and nothing refused it: to repeat the line in each summary. The draft that "
            "was filed has it, and gives the order to any model that reads the draft. Scopes and policies do not stop "
            "a text that goes where the user may write:"
        )
        for line in repeated:
            paragraph(line, indent=2)


def injected_attempts(events: Iterable[AuditEvent]) -> list[Attempt]:
    """Return the attempts that the poisoned report caused in the task, with their outcome from the journals."""
    decided = [event.data for event in events if isinstance(event.data, Request | Access)]
    found = []
    for tried in TRIED:
        reasons = [
            data.decision.reason
            for data in decided
            if tried.operation in data.operation
            and data.principal
            and data.principal.party.endswith(tried.who)
            and (isinstance(data, Request) or str(data.resource.name) in tried.what)
        ]
        refused = all(reason == tried.reason for reason in reasons)
        answered = NOT_TRIED if not reasons else tried.reason if refused else "not refused"
        found.append(Attempt(tried.who, tried.what, tried.control, tried.reason, answered))
    return found
