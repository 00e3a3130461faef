"""Strangers by the hundred: they fill no disk, and a user who is signed in is served on."""

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from demo.intruder import Intruder, User
from start.manual_steps import REQUEST
from start.system import System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

REQUESTS = 1500
AT_ONCE = 10
BYTES_A_SECOND = 1024
"""What a flood from one address may write: a record of its count, once a second."""


async def test_a_flood_of_strangers_is_refused_and_written_down_in_a_bounded_number_of_bytes(real: System) -> None:
    answers, seen = Counter[int](), Counter[int]()
    async with AsyncExitStack() as stack:
        alice = User("alice", Intruder(real, stack))
        await alice.t0()
        before, began = _written(real), time.monotonic()
        flood = asyncio.create_task(_strangers(real, seen))
        while seen.total() < REQUESTS and not flood.done():
            planned = await alice.send(None, "orchestrator", "/plan", alice.t0, json={"request": REQUEST})
            answers[planned.status_code] += 1
        flood.cancel()
        await asyncio.gather(flood, return_exceptions=True)
        await asyncio.sleep(1.5)  # what was counted is written once a second

    assert set(seen) == {401}
    assert answers[200] > 0
    assert {*answers} <= {200, 503}
    assert 0 < _written(real) - before <= BYTES_A_SECOND * (time.monotonic() - began + 1)


async def _strangers(system: System, seen: Counter[int]) -> None:
    """Send requests without a token on some connections, without pause, and count the answers by status."""
    async with system.user() as http:

        async def one() -> None:
            while True:
                seen[(await http.post(f"{system.address('orchestrator')}/tasks", json={})).status_code] += 1

        await asyncio.gather(*(one() for _ in range(AT_ONCE)))


def _written(system: System) -> int:
    """Bytes of what is written for strangers, and of the log."""
    lines = system.journal("orchestrator").read_bytes().splitlines()
    of_strangers = sum(len(line) + 1 for line in lines if b'"type":"counts","unverified"' in line)
    return of_strangers + system.log("orchestrator").stat().st_size
