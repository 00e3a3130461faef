"""Measures where the time on a core of a warm task goes, with and without zero trust."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack

import httpx

from lab.bench.client import away
from lab.bench.measure import Client
from lab.bench.party.samples import SAMPLES
from lab.bench.throughput import COMPARED
from lab.bench.variants import PARTIES, on_core, pids, variant
from local.program import console, show
from local.system import System

TASKS = 300
"""Of each variant: some two thousand samples or more, so that a hundredth of the time is seen."""
SECONDS_TO_WRITE = 30
"""Within which a party has written its samples."""

Parts = dict[str, float]
"""Seconds on a core for one task, by part."""


async def where(system: System) -> dict[str, Parts]:
    """Measure each variant.  The four services of a set are sampled, and not clients and authorities."""
    found = {}
    async with AsyncExitStack() as stack:
        keycloak = httpx.AsyncClient(verify=system.keycloak.tls, trust_env=False, timeout=60)
        await stack.enter_async_context(keycloak)
        sets = await stack.enter_async_context(away(system, [one.at for one in COMPARED]))
        client = Client(system, sets, keycloak, await system.sign_in("alice"))
        for one in COMPARED:
            await client.run(one)  # connections and tokens
            _signal(system, one.at, signal.SIGUSR1)
            before = on_core(system, one.at)
            for _ in range(TASKS):
                await client.run(one)
            took = (on_core(system, one.at) - before) / TASKS
            _signal(system, one.at, signal.SIGUSR2)
            found[one.name] = shares(await _samples(system, one.at), took)
    return found


def shares(samples: Mapping[str, int], seconds: float) -> Parts:
    """Share this time out by the samples of each part."""
    return {part: seconds * count / sum(samples.values()) for part, count in samples.items()}


def show_parts(without: Parts, with_it: Parts) -> None:
    """Print the parts, the most costly first, in milliseconds and as a ratio to all of no security."""
    console.rule("Where the time of a warm task goes")
    console.print("Time on a core of the four services; a sample every 4 ms of it")
    whole = sum(without.values())
    added = {part: seconds - without.get(part, 0.0) for part, seconds in with_it.items()}
    rows = [(part, without.get(part, 0.0), with_it[part], added[part]) for part in sorted(added, key=added.__getitem__)]
    rows = [*reversed(rows), ("all", whole, sum(with_it.values()), sum(with_it.values()) - whole)]
    show(
        ("", "no security, ms", "zero trust, ms", "adds, ms", "adds, times all of no security"),
        ((part, *(f"{1000 * one:.2f}" for one in times), f"{times[-1] / whole:.2f}") for part, *times in rows),
        right=True,
    )


def _signal(system: System, name: str, number: signal.Signals) -> None:
    for pid in pids(system, name):
        os.kill(pid, number)


async def _samples(system: System, name: str) -> Counter[str]:
    counts = Counter[str]()
    for party in PARTIES:
        file = variant(system, name).data(party) / SAMPLES
        async with asyncio.timeout(SECONDS_TO_WRITE):
            while not file.exists():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.05)
        counts.update(json.loads(file.read_text()))
    return counts
