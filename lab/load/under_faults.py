"""The second part of a soak: revocations of all kinds during faults of all kinds."""

import asyncio
import random
from collections.abc import Collection
from contextlib import AsyncExitStack
from dataclasses import replace

from demo.revocation_methods import EVERYWHERE
from lab.load.faults import Faults, process, relaunch
from lab.load.judge import Evidence
from lab.load.relay import Relay
from lab.load.sessions import ACCOUNTS, Sessions, end
from start.program import say
from start.system import HOST, System

EVERY = 10
"""Seconds between two lines."""
LONGEST = 30
"""The longest recovery, in seconds."""


async def under_faults(
    system: System, evidence: Evidence, *, seconds: float, seed: int, wires: Collection[str]
) -> None:
    """Collect `evidence` for this many seconds, and wait until all calls are allowed again.

    `seed` determines the order of the faults; `wires` are the services whose connection to the registry may fail.
    Leaves the system as it was.  Raises `TimeoutError` if it does not recover.
    """
    async with AsyncExitStack() as stack:
        registry = system.registry.authorities.registry
        relays = {name: Relay(system.port(registry)) for name in wires}
        for relay in relays.values():
            await stack.enter_async_context(relay.listening())
        stack.push_async_callback(_relaunch_all, system, dict.fromkeys(wires, system.place(registry)))
        await _relaunch_all(system, {name: f"https://{HOST}:{relay.port}" for name, relay in relays.items()})
        sessions = Sessions(system, evidence, stack)
        faults = Faults(system, evidence, random.Random(seed))  # noqa: S311 - reproducible
        working = [sessions.work(name, random.Random(seed + n)) for n, name in enumerate(ACCOUNTS * 2, 1)]  # noqa: S311
        breaking = [
            faults.go_on(faults.of_authorities()),
            faults.go_on(faults.of_processes(EVERYWHERE) | faults.of_wires(relays)),
            _print_counts(evidence),
        ]
        work, trouble = [[asyncio.create_task(one) for one in some] for some in (working, breaking)]
        try:
            done, _ = await asyncio.wait([*work, *trouble], timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            await end(trouble)
            await end(work)  # second, because they undo their revocations, and need all servers for that
        for task in done:
            task.result()
        async with asyncio.timeout(LONGEST):
            say(f"All calls were allowed again {await sessions.wait_until_recovered():.1f} s after the last fault")


async def _relaunch_all(system: System, to: dict[str, str]) -> None:
    """Launch these parties again, each with its own address of the registry."""

    async def one(name: str, address: str) -> None:
        there = process(system, name)
        await there.end()
        await relaunch(system, replace(there.launch, env={**there.launch.env, "ZT_REGISTRY": address}))

    await asyncio.gather(*(one(name, address) for name, address in to.items()))


async def _print_counts(evidence: Evidence) -> None:
    while True:
        await asyncio.sleep(EVERY)
        say(f"{len(evidence.calls)} calls, {len(evidence.acknowledged)} revocations, {len(evidence.faults)} faults")
