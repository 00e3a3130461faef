"""`make bench`, second part: from the acknowledged revocation to the first refusal, for every lever and every service.

Each try has a session of its own, in use at every service when the lever is pulled (`demo/revocation_methods.py`).
"""

import asyncio
import json
import sys
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from typing import Annotated

import typer
from rich.box import HORIZONTALS
from rich.table import Table

from demo.refusals import Intruder
from demo.revocation import operator
from demo.revocation_methods import REVOCATION_METHODS, in_use, trigger
from lab import revoking
from lab.bench.numbers import percentile
from local.program import FOLDER, console, say, until_told
from local.system import System, running
from zerotrust.identity import Principal
from zerotrust.revocation import Revocations

WARM_UP = 5
Took = dict[str, dict[str, list[float]]]
"""Seconds, by lever and service."""


async def measure(system: System, pushed: int, polled: int) -> Took:
    """Pull every lever so often."""
    took: Took = {name: defaultdict(list) for name in REVOCATION_METHODS}
    for name, lever in REVOCATION_METHODS.items():
        times = pushed if lever.pushed else polled
        say(f"{name}, {times} times")
        for number in range(-WARM_UP, times):
            async with AsyncExitStack() as stack:  # a token of hers lives 60 s
                http, intruder = await stack.enter_async_context(system.user()), Intruder(system, stack)
                olga = await operator(system, http)
                found = await trigger(lever, await in_use(system, intruder, olga, agent=lever.agent))
            if number >= 0:
                for service, seconds in found.items():
                    took[name][service].append(seconds)
    return took


def revocation_us(calls: int = 20_000) -> float:
    """What it costs to ask for somebody's standing, in microseconds, where a thousand sessions are revoked."""
    revocations = Revocations(clock=time.monotonic)
    revocations.replace(0, {("session", str(number)): "logout" for number in range(1000)})
    revocations.bound = 3600
    revocations.confirm(0, 0.0)
    actors = ("spiffe://agents.example/agent/reader", "spiffe://agents.example/orchestrator")
    caller = Principal(
        subject="alice",
        party=actors[0],
        actors=actors,
        audience="spiffe://agents.example/tool/documents",
        scopes=frozenset({"tool.read"}),
        groups=frozenset({"/engineering"}),
        token_id="T2",  # noqa: S106 - a name
        lineage=("T0", "T1"),
        client="walkthrough",
        chain_started_at=0,
        session="S",
        issued_at=1,
        expires_at=2,
        token="",
    )
    began = time.perf_counter()
    for _ in range(calls):
        revocations.of(caller)
    return (time.perf_counter() - began) / calls * 1e6


def show(took: Took) -> dict[str, float]:
    """Print the table; return its numbers, in milliseconds, by their names in `run/bench.json`."""
    table, numbers = Table(box=HORIZONTALS), {}
    services = list(dict.fromkeys(service for each in took.values() for service in each))
    for column in ("p50 / p99 / worst ms", "tries", *services):
        table.add_column(column, justify="right")
    for name, each in took.items():
        cells = {s: " / ".join(f"{percentile(v, p) * 1e3:.0f}" for p in (50, 99, 100)) for s, v in each.items()}
        table.add_row(name, str(len(next(iter(each.values())))), *(cells.get(service, "") for service in services))
        everywhere = [seconds for values in each.values() for seconds in values]
        for percent in (50, 99, 100):
            key = "worst" if percent == 100 else f"p{percent}"
            numbers[f"revoke_{name}_ms_{key}"] = percentile(everywhere, percent) * 1e3
    console.rule("From the acknowledged revocation to the first refusal")
    console.print(table)
    console.print("Wanted: pushed (logout, session, token, suspend, drift) p99 < 50 ms; polled worst < 1 s.")
    return numbers


def main(
    pushed: Annotated[int, typer.Option(min=1, help="tries of each pushed lever")] = 200,
    polled: Annotated[int, typer.Option(min=1, help="tries of each polled lever")] = 50,
) -> None:
    """Measure, print, and add to `run/bench.json`."""
    insiders = ("orchestrator", "agent/reader", "agent/writer")

    async def work() -> int:
        async with running(FOLDER / "levers", say=say, insiders=insiders) as system:
            took = await measure(system, pushed, polled)
            say("Everything ends")
        numbers = show(took) | {"revocation_us": revocation_us()}
        console.print(f"{numbers['revocation_us']:6.2f} us  to ask for somebody's standing, on every call")
        numbers |= (costs := await asyncio.to_thread(revoking.measured))
        console.print("\n".join(revoking.told(costs)))
        file = FOLDER / "bench.json"
        known = json.loads(await asyncio.to_thread(file.read_text)) if file.exists() else {}
        file.write_text(json.dumps(known | {name: round(value, 3) for name, value in numbers.items()}, indent=2) + "\n")
        return 0

    sys.exit(until_told(work()))


if __name__ == "__main__":
    typer.run(main)
