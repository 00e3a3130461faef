"""No call is allowed too late: `lab/load/under_faults.py` in short, on the real system; and what it breaks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from demo.revocation_methods import EVERYWHERE
from lab.load.judge import REVOKED, Evidence
from lab.load.relay import Relay
from lab.load.under_faults import under_faults
from local.system import System
from zerotrust.registry.model import Registry


@pytest.mark.e2e
@pytest.mark.exhaustive
@pytest.mark.asyncio(loop_scope="session")
async def test_no_call_is_allowed_too_late_whatever_is_killed_paused_or_cut_off_meanwhile(real: System) -> None:
    evidence = Evidence(bound=real.registry.freshness.revocations)

    for seed in 6, 7, 8:  # again where the machine is so busy that not enough has happened
        await under_faults(real, evidence, seconds=14, seed=seed, wires=["tool/documents"])
        assert list(evidence.violations()) == []
        if enough := _enough(evidence):
            break

    assert enough
    assert {call.target for call in evidence.calls if call.allowed} == set(EVERYWHERE)


def _enough(evidence: Evidence) -> bool:
    """Whether so much went wrong that to have seen no violation means something."""
    answers = {call.answer for call in evidence.calls}
    seen = {REVOKED, "503 revocation_unknown"} <= answers
    return seen and len(evidence.acknowledged) >= 3 and len(evidence.faults) >= 4


# what it breaks


def test_whom_it_breaks_is_there(registry: Registry) -> None:
    assert set(EVERYWHERE) <= set(registry.services)


class End:
    """One end of the wire."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def echo(self, said: bytes, seconds: float = 5) -> bytes:
        self.writer.write(said)
        async with asyncio.timeout(seconds):
            return await self.reader.read(100)

    async def over(self) -> bool:
        """Whether the connection is no more."""
        try:
            return await self.echo(b"there?") == b""
        except ConnectionError:
            return True


@dataclass
class Wire:
    relay: Relay
    ends: list[End] = field(default_factory=list)

    async def end(self) -> End:
        self.ends.append(end := End(*await asyncio.open_connection("127.0.0.1", self.relay.port)))
        return end


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """Leads to somebody who says everything back."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while said := await reader.read(100):
                writer.write(said)
        writer.transport.abort()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        relay = Relay(server.sockets[0].getsockname()[1])
        async with relay.opened():
            wire = Wire(relay)
            yield wire
            for end in wire.ends:
                end.writer.transport.abort()
    await asyncio.sleep(0)


async def test_a_wire_that_is_cut_ends_what_is_open_and_lets_nobody_in_until_it_is_whole(wire: Wire) -> None:
    before = await wire.end()
    assert await before.echo(b"one") == b"one"

    async with wire.relay.broken("cut"):
        for end in before, await wire.end():
            assert await end.over()
    assert await (await wire.end()).echo(b"three") == b"three"


async def test_a_dead_wire_tells_nobody_and_what_was_lost_does_not_come_later(wire: Wire) -> None:
    before = await wire.end()
    assert await before.echo(b"one") == b"one"

    async with wire.relay.broken("dead"):
        with pytest.raises(TimeoutError):
            await before.echo(b"two", 0.05)
    with pytest.raises(TimeoutError):
        await before.echo(b"three", 0.05)
    assert await (await wire.end()).echo(b"four") == b"four"


async def test_a_wire_that_lags_delivers_everything_later_and_later(wire: Wire) -> None:
    end, loop = await wire.end(), asyncio.get_running_loop()

    async with wire.relay.broken("lags"):
        began = loop.time()
        await asyncio.sleep(0.05)
        assert await end.echo(b"one") == b"one"
        assert loop.time() - began >= 0.2  # there, twice as late as it was said, and back, twice as late again
