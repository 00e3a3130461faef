"""`make bench`, last part: how long it takes from an activation of policies to the first decision by them, everywhere.

A round activates a stricter rule (`demo/rule_change.py`) and rolls it back, while tokens of one session are in use at
every service.  When a service first decides by the new version is in its journal.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import httpx
import typer

from demo.intruder import Intruder
from demo.revocation import operator
from demo.revocation_delays import PAUSE
from demo.revocation_methods import in_use
from demo.rule_change import WHY, policy_operator, with_its_table, with_stricter_rule
from lab.bench.numbers import percentile
from lab.load.bench_part import run_part
from lab.load.report import ms
from local.program import console, say, show
from local.system import System
from zerotrust.audit.event_types import Access, Request
from zerotrust.audit.forms import MICROSECONDS
from zerotrust.audit.record import event_of

LONGEST = 30
"""Seconds after which a service counts as one that does not take the policies."""
ACTIVATION = "the activation itself"
"""From the operator's request to the answer: tested, kept, published, and taken by the registry."""
Took = dict[str, list[float]]
"""Durations in seconds: of the activation, and by service from its answer to the first decision."""


async def measure(system: System, rounds: int) -> Took:
    """Activate a stricter rule and roll it back, this often."""
    took: Took = defaultdict(list)
    for _ in range(rounds):
        async with AsyncExitStack() as stack:  # an operator's token is valid for 60 s
            http, intruder = await stack.enter_async_context(system.user()), Intruder(system, stack)
            calls = (await in_use(system, intruder, await operator(system, http))).calls()
            olga = await policy_operator(system, http)
            first = (await olga.ask("GET", "/versions"))["active"]
            content = (await olga.ask("GET", f"/versions/{first}"))["content"]
            stricter = {"content": with_its_table(with_stricter_rule(content)), "why": WHY}
            back = {"version": first, "why": WHY}
            for number, path, body in (
                (first + 1, "/versions", stricter),
                (first + 2, "/versions/rollback", back),
            ):
                activating = asyncio.create_task(_seconds(olga.ask("POST", path, body)))
                uses = [_first_use(name, call, _Tail(system.journal(name)), number) for name, call in calls.items()]
                used = dict(await asyncio.gather(*uses))
                began, answered = await activating
                took[ACTIVATION].append(answered - began)
                for name, at in used.items():
                    took[name].append(max(0.0, at - answered))
    return took


async def _seconds(act: Awaitable[object]) -> tuple[float, float]:
    """Return when an act began and ended, in seconds since the epoch as records have them."""
    began = time.time()
    await act
    return began, time.time()


async def _first_use(
    name: str, call: Callable[[], Awaitable[httpx.Response]], journal: "_Tail", number: int
) -> tuple[str, float]:
    """Call a service until it decides by that version.  Return its name, and when it first did."""
    async with asyncio.timeout(LONGEST):
        while True:
            await call()
            for at, version in journal.decisions():
                if version == number:
                    return name, at
            await asyncio.sleep(PAUSE)


class _Tail:
    """A journal from its end at this time on."""

    def __init__(self, journal: Path) -> None:
        self._journal, self._since = journal, journal.stat().st_size

    def decisions(self) -> Iterator[tuple[float, int]]:
        """Yield the time and the version of each decision by policies."""
        with self._journal.open("rb") as file:
            file.seek(self._since)
            whole = [event_of(line[:-1]) for line in file if line.endswith(b"\n")]
        for event in whole:
            if isinstance(event.data, Request | Access) and (policy := event.data.decision.policy):
                yield event.time / MICROSECONDS, int(policy.version.partition("-")[0])


def report(took: Took) -> dict[str, float]:
    """Print the table; return its numbers, in milliseconds, by their names in `run/bench.json`."""
    console.rule("From an activation of policies to the first decision by them")
    rows = [(name, str(len(each)), ms(each, 50), ms(each, 99)) for name, each in took.items()]
    show(("", "times", "p50 ms", "p99 ms"), rows, right=True)
    console.print("The services count from the answer to the operator on.  Wanted: p99 < 1 s.")
    used = [seconds for name, each in took.items() if name != ACTIVATION for seconds in each]
    return {
        f"{key}_ms_p{percent}": percentile(each, percent) * 1e3
        for key, each in (("activation", took[ACTIVATION]), ("activation_used", used))
        for percent in (50, 99)
    }


def main(rounds: Annotated[int, typer.Option(min=1, help="activations, each rolled back")] = 20) -> None:
    """Measure, print, and add to `run/bench.json`."""

    async def work(system: System) -> Took:
        say(f"A rule is changed and rolled back, {rounds} times")
        return await measure(system, rounds)

    run_part("activation_delay", work, report)


if __name__ == "__main__":
    typer.run(main)
