"""Puts it together: the system as it is found, users at work, and everything going wrong meanwhile."""

import asyncio
import random
from collections.abc import Collection, Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace

from demo.revocation_methods import EVERYWHERE
from lab.revocations.faults import Faults, launched, process
from lab.revocations.judge import Evidence
from lab.revocations.relay import Relay
from lab.revocations.users import ACCOUNTS, Users
from local.system import HOST, System
from zerotrust.registry.snapshot import REGISTRY_PARTY

INSIDERS = ("orchestrator", "agent/reader")
"""In whose names the calls are made."""
LONGEST = 30
"""Seconds that a recovery may take."""


async def tried(system: System, evidence: Evidence, *, seconds: float, seed: int, wires: Collection[str]) -> float:
    """Fill `evidence` for so many seconds; return those after which everybody was let in again at the end.

    `seed` decides what goes wrong in which order; `wires` are the services whose wire to the registry may break.
    Leaves the system as it was found.  Raises `TimeoutError` where it does not recover.
    """
    async with AsyncExitStack() as stack:
        relays = {name: Relay(system.registry.parties[REGISTRY_PARTY].port or 0) for name in wires}
        for relay in relays.values():
            await stack.enter_async_context(relay.opened())
        stack.push_async_callback(_wired, system, dict.fromkeys(wires, system.place(REGISTRY_PARTY)))
        await _wired(system, {name: f"https://{HOST}:{relay.port}" for name, relay in relays.items()})
        users = Users(system, evidence, stack)
        faults = Faults(system, evidence, random.Random(seed))  # noqa: S311 - to be the same every time
        working = [users.work(name, random.Random(seed + n)) for n, name in enumerate(ACCOUNTS * 2, 1)]  # noqa: S311
        breaking = [
            faults.go_on(faults.of_authorities()),
            faults.go_on(faults.of_processes(EVERYWHERE) | faults.of_wires(relays)),
        ]
        work, trouble = [[asyncio.create_task(one) for one in some] for some in (working, breaking)]
        try:
            done, _ = await asyncio.wait([*work, *trouble], timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            await _ended(trouble)
            await _ended(work)  # second, for they undo what they have pulled, and need everybody for that
        for task in done:
            task.result()
        async with asyncio.timeout(LONGEST):
            return await users.recovered()


async def _ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task


async def _wired(system: System, to: dict[str, str]) -> None:
    """Launch these parties anew, each with the address at which it looks for the registry."""

    async def one(name: str, address: str) -> None:
        there = process(system, name)
        await there.end()
        await launched(system, replace(there.launch, env={**there.launch.env, "ZT_REGISTRY": address}))

    await asyncio.gather(*(one(name, address) for name, address in to.items()))
