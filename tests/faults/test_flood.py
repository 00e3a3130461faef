"""Strangers by the hundred: they fill no disk, and a user who is signed in is served on."""

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from demo.intruder import User
from lab.load.attacks import STRANGERS, Attacker, strangers
from lab.load.stories import plans
from local.system import System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

SECONDS = 3
BYTES_A_SECOND = 1024
"""What a flood from one address may write: a record of its count, once a second."""


async def test_a_flood_of_strangers_is_refused_and_written_down_in_a_bounded_number_of_bytes(real: System) -> None:
    """`make crowding` does it for half a minute."""
    answers = Counter[str]()
    async with AsyncExitStack() as stack:
        attacker = Attacker(real, stack)
        alice = User("alice", attacker.intruder)
        await alice.t0()
        before, began = _written(real), time.monotonic()
        flood = asyncio.create_task(strangers(attacker))
        while attacker.seen.total() < STRANGERS * SECONDS and not flood.done():
            answers[await plans(alice)] += 1
        flood.cancel()
        await asyncio.gather(flood, return_exceptions=True)
        await asyncio.sleep(1.5)  # what was counted is written once a second

    assert set(attacker.seen) == {"401"}
    assert answers.pop("", 0) > 0
    assert all(answer.startswith("503") for answer in answers)
    assert 0 < _written(real) - before <= BYTES_A_SECOND * (time.monotonic() - began + 1)


def _written(system: System) -> int:
    """Bytes of what is written for strangers, and of the log."""
    lines = system.journal("orchestrator").read_bytes().splitlines()
    of_strangers = sum(len(line) + 1 for line in lines if b'"type":"counts","unverified"' in line)
    return of_strangers + system.log("orchestrator").stat().st_size
