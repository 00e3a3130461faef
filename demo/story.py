"""The story: alice's task, the tokens of it, and what was written down; and what others try.  Of any running system."""

from collections.abc import AsyncIterator, Iterable

from rich.text import Text

from demo.refusals import Attempt
from demo.running import Running
from demo.show import show_tokens, show_trail, tokens_of
from local.manual_steps import REQUEST
from local.program import console, say, show
from local.system import ROOT
from zerotrust.audit.event import Access, AuditEvent, Request
from zerotrust.audit.journal import first_bad_record


async def tell_story(system: Running) -> list[AuditEvent]:
    """Run alice's task and show what it leaves.  Return all audit events of it."""
    console.rule("The story")
    events = await _run_task(system)
    console.rule("Who was who on every hop")
    show_tokens(tokens_of(events))
    console.rule("What was written down")
    show_trail(console, events)
    _show_journals(system)
    return events


async def _run_task(system: Running) -> list[AuditEvent]:
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


def _show_journals(system: Running) -> None:
    for name in system.registry.services:
        journal = system.journal(name)
        bad = first_bad_record(journal)
        state = f"[red]record {bad} was changed[/red]" if bad else "chain intact"
        place = journal.relative_to(ROOT) if journal.is_relative_to(ROOT) else journal
        console.print(f"{place}: {len(system.events(name))} records, {state}")


def poisoned(events: list[AuditEvent]) -> list[Attempt]:
    """Return the attempts that the poisoned report caused in the task, with their outcome from the journals."""
    found = []
    for who, what, operation, wanted, control in (
        (
            "the reader, instructed by ENG-104",
            "overwrites a report",
            "tools/call replace",
            "scope_missing",
            "gate: scope",
        ),
        ("the reader, instructed by ENG-104", "reads finance's forecast", "document.read", "resource_denied", "policy"),
        (
            "the writer, instructed by the summary",
            "overwrites a report",
            "document.replace",
            "resource_denied",
            "policy",
        ),
    ):
        decided = [event.data for event in events if isinstance(event.data, Request | Access)]
        reasons = {d.decision.reason for d in decided if operation in d.operation and not d.decision.allowed}
        expected = f"in the journal: {wanted}"
        found.append(Attempt(who, what, control, expected, expected if wanted in reasons else "not refused"))
    return found


async def try_all(title: str, trying: AsyncIterator[Attempt], before: Iterable[Attempt] = ()) -> int:
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
