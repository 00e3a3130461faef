"""The walkthrough of a running system: a list of parts, on this machine (`HERE`) or in containers (`containers.py`)."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from demo.checks import Checks
from demo.impostors import rogues
from demo.llama_stack import attempts_at_the_server
from demo.participants import show_receipts
from demo.parts import NO, begin
from demo.refusals import attempts
from demo.revocation import revocations
from demo.revocation_delays import measure_all
from demo.revocation_methods import EVERYWHERE, REVOCATION_METHODS
from demo.rule_change import drafting, show_rule_change
from demo.story import tell_story
from demo.who import identities, show_who_is_who
from start.program import cause_of, console, paragraph, show, showing_progress
from start.system import ROOT, Running, System

LEGEND = (
    "✓ marks an expected answer. `must be allowed` marks a call that has to succeed: "
    "otherwise, the refusals would prove nothing."
)
SAME_USER = (
    "One thing is not refused: any program of this Unix user can read and write the files in run/. Among them are the "
    "documents, the journals, and Keycloak's database with the key that signs tokens."
)
NEXT = (
    ("docs/learn/walkthrough.md", "this output, explained"),
    ("make up", "leaves it all running, and prints what to try by hand"),
    ("make attacks", "tries every attack of the catalogue, also without the check that stops it"),
)
S = TypeVar("S", bound=Running)


async def walk(system: S, parts: Iterable[Callable[[S, Checks], Awaitable[None]]]) -> int:
    """Walk through these parts, whatever becomes of one.  Return the exit status: 1 if a part or a check failed."""
    checks = Checks()
    for part in parts:
        try:
            await part(system, checks)
        except Exception as error:  # noqa: BLE001 - the next parts, and the summary, do not depend on it
            checks.end_part(part.__name__.replace("_", " "), cause_of(error))
    return 0 if checks.passed else 1


async def who_is_who(system: Running, _checks: Checks) -> None:
    """People, parties and authorities."""
    show_who_is_who(system.registry)


async def impostors(system: System, checks: Checks) -> None:
    """Others in an agent's place."""
    begin(
        "Impostors",
        "The reader is stopped, and two impostors listen at its address, one after the other. The orchestrator has to "
        "find out before it sends a token. ✓ marks an expected answer.",
    )
    await checks.make_all(rogues(system))


async def refusals(system: System, checks: Checks) -> None:
    """Attempts of intruders inside parties are refused."""
    begin(
        "What is refused",
        "Stolen tokens, wrong audiences, missing scopes. An intruder inside a genuine party makes these attempts, with "
        f"the party's identity and the tokens that it gets. {LEGEND}",
    )
    await checks.make_all(attempts(system))
    if system.llama_stack:
        await checks.make_all(attempts_at_the_server(system, system.llama_stack))
    paragraph(SAME_USER)


async def rule_change(system: Running, checks: Checks) -> None:
    """A rule that decides the next call."""
    async with drafting(system) as draft:
        await show_rule_change(system, checks, draft)


async def suspension_and_drift(system: System, checks: Checks) -> None:
    """A party that is suspended, and one whose code changes."""
    begin(
        "Suspension and drift",
        "An operator suspends the writer, and later a file is added to its code. Each time, the tool refuses a "
        "token that worked a moment before, until the operator reinstates the writer.",
    )
    await checks.make_all(revocations(system))


async def latency(system: System, checks: Checks) -> None:
    """How soon each revocation takes effect."""
    begin(
        "Revocation latency",
        "The time from each request to revoke to the first refusal at each service, while genuine tokens are in use. "
        f"{NO} means that no caller of that service is revoked.",
    )
    with showing_progress("Each way to revoke is timed"):
        delays, wrong = await measure_all(system)
    checks.count(wrong)
    rows = [
        (REVOCATION_METHODS[method].called, *(f"{took[s] * 1e3:.0f} ms" if s in took else NO for s in EVERYWHERE))
        for method, took in delays.items()
    ]
    show(("revoked by", *EVERYWHERE), rows, right=True)
    longest = max((seconds for took in delays.values() for seconds in took.values()), default=0) * 1e3
    checks.ending = f"{len(delays)} ways to revoke were tried; the slowest refusal came after {longest:.0f} ms."


async def summary(_system: Running, checks: Checks) -> None:
    """How many checks were as expected."""
    begin("The end")
    console.print(checks.summary())
    if checks.ending:
        paragraph(checks.ending)


async def next_steps(system: System, checks: Checks) -> None:
    """Where the records are, and what to try next."""
    folder = system.folder.relative_to(ROOT)
    show_next_steps(f"{folder}/data/*/journal.jsonl (until the next make demo)", f"{folder}/logs", NEXT)
    if checks.trace_id:
        console.print(f"  alice's task: the picture {folder}/task.svg, and from the records:")
        console.print(f"  .venv/bin/zt --journals {folder}/data \\\n    audit show {checks.trace_id}")


HERE = (
    who_is_who,
    identities,
    tell_story,
    impostors,
    refusals,
    rule_change,
    suspension_and_drift,
    latency,
    show_receipts,
    summary,
    next_steps,
)


def show_next_steps(records: str, logs: str, what_next: tuple[tuple[str, str], ...]) -> None:
    """Say where records and logs are, and what to try next."""
    for name, value in ("Records", records), ("Logs", logs):
        paragraph(f"{name + ':':9}{value}", hanging=9)
    console.print("Next:")
    width = max(len(command) for command, _ in what_next)
    for command, what in what_next:
        paragraph(f"{command:{width}}  {what}", indent=2, hanging=width + 2)
