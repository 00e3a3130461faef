"""The first part of a soak: users with tasks and attempts, and an agent that is suspended from time to time."""

import asyncio
import time
from contextlib import AsyncExitStack

from demo.revocation import sign_in_olga
from lab.load.judge import Ban
from lab.load.stories import THROUGH_THE_WRITER, kinds_of
from lab.load.users import Score, users
from lab.load.watch import Samples, measure
from start.program import say
from start.system import System

EVERY = 10
"""Seconds between two lines, and between two samples of the processes' resources."""
WARM_UP = 60
"""Seconds before the first sample that counts, but at most a fifth of the whole."""
SUSPENDED = "agent/writer"
WORKING, SUSPENSION = 17, 3
"""Seconds from one suspension to the next, and of each suspension."""


async def under_load(system: System, score: Score, samples: Samples, *, seconds: float, count: int) -> None:
    """Let users work for this many seconds."""
    services = {one.launch.name: one.process.pid for one in system.authority.running if one.launch.name != "insider"}
    async with AsyncExitStack() as stack:
        everybody = list(users(system, count, stack))
        say(f"{count} users sign in, one after the other")
        for user in everybody:
            await user.t0()
        say(f"They work for {seconds:.0f} s")
        working = [asyncio.create_task(score.work(user, kinds_of(user.name))) for user in everybody]
        working.append(asyncio.create_task(_suspend_again_and_again(system, score)))
        before, began = 0, time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            await asyncio.sleep(min(EVERY, seconds - passed))
            now = {name: measure(pid) for name, pid in services.items()}
            if time.monotonic() - began > min(WARM_UP, seconds / 5):
                for name, one in now.items():
                    samples[name].append(one)
            say(
                f"{score.actions} requests (+{score.actions - before}), {len(score.wrong)} wrong, "
                f"{sum(one.memory for one in now.values()):.0f} MiB, {sum(one.files for one in now.values())} files"
            )
            before = score.actions
            if ended := [task for task in working if task.done()]:
                ended[0].result()
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)


async def _suspend_again_and_again(system: System, score: Score) -> None:
    while True:
        await asyncio.sleep(WORKING)
        await suspend_writer(system, score)


async def suspend_writer(system: System, score: Score) -> None:
    """Suspend the writer for a while.  Raises `CommandError` where the registry will not."""
    async with system.user() as http:
        olga = await sign_in_olga(system, http)
        ban = Ban(f"{SUSPENDED} suspended", lambda call: call.target in THROUGH_THE_WRITER, time.monotonic())
        score.evidence.revocations.append(ban)
        try:
            await olga.suspend(SUSPENDED, "the soak tries it")
            ban.since = time.monotonic()
            await asyncio.sleep(SUSPENSION)
        finally:
            ban.until = time.monotonic()
            await olga.reinstate(SUSPENDED)
            ban.over = time.monotonic() + score.evidence.bound
