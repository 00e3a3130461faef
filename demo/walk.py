"""The walkthrough of a running system: a list of parts, on this machine (`HERE`) or in containers (`containers.py`)."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from demo.checks import Checks
from demo.latency import show_latency
from demo.llama_stack import attempts_at_the_server
from demo.parts import begin, paragraph
from demo.receipts import show_receipts
from demo.refusals import attempts
from demo.revocation import operator, revocations, rogues
from demo.revocation_delays import all_delays
from demo.rule_change import drafts, show_rule_change
from demo.story import tell_story
from demo.who import certificates, show_certificates, show_who_is_who
from local.program import busy, console, say
from local.system import ROOT, Running, System

LEGEND = (
    "✓ means: as expected. `must be allowed` marks a call that has to succeed, or the refusals would prove nothing."
)
SAME_USER = (
    "Not refused: everything here runs as one Unix user, and a program of that user can read and write the files in "
    "run/. Among them are Keycloak's database, with the key that signs tokens, the documents and the journals."
)
NEXT = (
    ("docs/learn/walkthrough.md", "this output, explained"),
    ("make up", "leaves it all running, and prints what to try by hand"),
    ("make attacks", "tries every attack of the catalogue, also without the check that stops it"),
)
S = TypeVar("S", bound=Running)


async def walk(system: S, parts: Iterable[Callable[[S, Checks], Awaitable[None]]]) -> int:
    """Walk through these parts.  Return the exit status: 1 if a check did not behave as expected."""
    checks = Checks()
    for part in parts:
        await part(system, checks)
    return 1 if checks.failed else 0


async def who_is_who(system: Running, _checks: Checks) -> None:
    """People, parties and authorities."""
    show_who_is_who(system.registry)


async def identities(system: System, _checks: Checks) -> None:
    """The certificate of each party."""
    show_certificates(system, await certificates(system))


async def impostors(system: System, checks: Checks) -> None:
    """Others in an agent's place."""
    begin(
        "Impostors",
        "Who answers in an agent's place, before the orchestrator sends it a token? The reader ends, and twice "
        "somebody else listens at its address. ✓ means: as expected.",
    )
    await checks.all(rogues(system))


async def refused(system: System, checks: Checks) -> None:
    """What is refused to intruders inside parties."""
    begin(
        "What is refused",
        "Stolen tokens, wrong audiences, missing scopes: made like an intruder inside a genuine party would make them, "
        f"with its own identity and the tokens that it gets. {LEGEND}",
    )
    await checks.all(attempts(system))
    if system.llama_stack:
        await checks.all(attempts_at_the_server(system, system.llama_stack))
    paragraph(SAME_USER)


async def rule_changed(system: Running, checks: Checks) -> None:
    """A rule that decides the next call."""
    async with drafts(system) as draft:
        await show_rule_change(system, checks, draft)


async def suspension_and_drift(system: System, checks: Checks) -> None:
    """A party that is suspended, and one whose code changes."""
    begin(
        "Suspension and drift",
        "An operator suspends the writer; later a file is added to its code. Both times it is refused with a token "
        "that was good a moment before, until the operator reinstates it.",
    )
    took: list[float] = []
    await checks.all(revocations(system, took))
    asked = ("its suspension was asked for", "a file was added to its code")
    for what, seconds in zip(asked, took, strict=False):
        say(f"the tool refused the writer {seconds * 1e3:.0f} ms after {what}")


async def latency(system: System, checks: Checks) -> None:
    """How soon each revocation takes effect."""
    begin(
        "Revocation latency",
        "From the acknowledged revocation to the first refusal, at each service, while genuine tokens are in use.  "
        "\N{EN DASH}: no caller of that service is revoked.",
    )
    async with system.user() as http:
        with busy("Each way to revoke is timed"):
            delays = await all_delays(system, await operator(system, http))
    longest = show_latency(delays) * 1e3
    checks.ending = f"{len(delays)} ways to revoke were tried; the slowest refusal came after {longest:.0f} ms."


async def the_end(_system: Running, checks: Checks) -> None:
    """How many checks were as expected."""
    begin("The end")
    console.print(checks.close())
    if checks.ending:
        paragraph(checks.ending)


async def the_rest(system: System, checks: Checks) -> None:
    """Where the records are, and what to try next."""
    folder = system.folder.relative_to(ROOT)
    show_the_rest(f"{folder}/data/*/journal.jsonl (until the next make demo)", f"{folder}/logs", NEXT)
    console.print("  alice's task once more, from the records:")
    console.print(f"  .venv/bin/zt --journals {folder}/data \\\n    audit show {checks.trace_id}")


HERE = (
    who_is_who,
    identities,
    tell_story,
    impostors,
    refused,
    rule_changed,
    suspension_and_drift,
    latency,
    show_receipts,
    the_end,
    the_rest,
)


def show_the_rest(records: str, logs: str, what_next: tuple[tuple[str, str], ...]) -> None:
    """Say where records and logs are, and what to try next."""
    for name, value in ("Records", records), ("Logs", logs):
        paragraph(f"{name + ':':9}{value}", hanging=9)
    console.print("Next:")
    width = max(len(command) for command, _ in what_next)
    for command, what in what_next:
        paragraph(f"{command:{width}}  {what}", indent=2, hanging=width + 2)
