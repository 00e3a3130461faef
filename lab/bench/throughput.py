"""Counts the tasks a second of many clients at once, with and without zero trust, by turns."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

import httpx

from lab.bench.client import away
from lab.bench.measure import VARIANTS, Client, Variant
from lab.bench.numbers import Measured
from start.system import System

USERS = {"alice": None, "dana": "/engineering"}
"""Who works, and in which department, if it has to be named: one person has at most 10 tasks at once."""
CLIENTS = 16
"""Tasks at once."""
SECONDS = 3.0
"""Of each turn."""
TURNS = 4
COMPARED = tuple(one for one in VARIANTS if one.name in {"none", "warm"})


async def throughput(system: System, measured: Measured) -> None:
    """Measure, and add the tasks a second of each turn."""
    async with AsyncExitStack() as stack:
        keycloak = httpx.AsyncClient(verify=system.keycloak.tls, trust_env=False, timeout=60)
        await stack.enter_async_context(keycloak)
        sets = await stack.enter_async_context(away(system, [one.at for one in COMPARED]))
        clients = [
            Client(system, sets, keycloak, await system.sign_in(name), department=department)
            for name, department in USERS.items()
        ]
        for one in COMPARED:  # connections and tokens
            await _tasks(clients, one)
        for turn in range(TURNS):
            for one in COMPARED if turn % 2 else reversed(COMPARED):
                measured.per_second[one.name].append(await _tasks(clients, one) / SECONDS)


async def _tasks(clients: Sequence[Client], variant: Variant) -> int:
    """Return how many tasks end within `SECONDS`."""
    until, done = time.monotonic() + SECONDS, 0

    async def one_after_the_other(client: Client) -> None:
        nonlocal done
        while time.monotonic() < until:
            await client.run(variant)
            done += time.monotonic() < until

    await asyncio.gather(*(one_after_the_other(clients[number % len(clients)]) for number in range(CLIENTS)))
    return done
