"""How connections are accepted: what a ClientHello in pieces, none at all, and a crowd from one address come to."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from unittest.mock import AsyncMock

import pytest

from tests.support.attack_bundle import client_hello
from tests.support.waiting import until
from zerotrust.hardening.accepting import HANDSHAKES_IN_A_PASS, LONGEST_HELLO, Accepting, listen

HANG = 60
MOST = 3
HELLO = client_hello()


class Door:
    """Answers nobody, and keeps whom it would answer."""

    def __init__(self) -> None:
        self.answered: list[str] = []
        self.accepting = Accepting(listen("127.0.0.1", 0), self._answer, most=MOST, patience=HANG)
        self.address = self.accepting.sockets[0].getsockname()

    async def _answer(self, connection: socket.socket) -> None:
        self.answered.append(connection.getpeername()[0])
        await asyncio.Event().wait()

    async def connect(self, source: str, *pieces: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect from that address, say this, and return once it has come."""
        seen = len(self.accepting._silent) + len(self.answered)
        reader, writer = await asyncio.open_connection(*self.address, local_addr=(source, 0))
        await until(lambda: len(self.accepting._silent) + len(self.answered) != seen or self.full)
        for piece in pieces:
            writer.write(piece)
            for _ in range(20):  # passes of the event loop: what has come is looked at
                await asyncio.sleep(0)
        return reader, writer

    @property
    def full(self) -> bool:
        return len(self.accepting._answered) >= MOST


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door = Door()
    yield door
    door.accepting.close()
    await asyncio.sleep(0)


async def until_answered(door: Door, count: int) -> None:
    async with asyncio.timeout(HANG):
        while len(door.answered) < count:
            await asyncio.sleep(0)


@pytest.mark.parametrize("begun", [b"", HELLO[:1], HELLO[:20]], ids=["nothing", "a byte", "a part"])
async def test_who_ends_before_that_is_forgotten_at_once(door: Door, begun: bytes) -> None:
    _, writer = await door.connect("127.0.0.1", begun)
    writer.close()

    async with asyncio.timeout(HANG):
        while door.accepting._silent:
            await asyncio.sleep(0)
    assert door.answered == []


@pytest.mark.parametrize(
    "said",
    [b"GET / HTTP/1.1", b"\x16\x03\x01" + (LONGEST_HELLO + 1).to_bytes(2)],
    ids=["http", "longer than a record may be"],
)
async def test_what_is_no_handshake_is_ended(door: Door, said: bytes) -> None:
    reader, writer = await door.connect("127.0.0.1", said)

    async with asyncio.timeout(HANG):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    writer.close()
    assert door.answered == []


async def test_a_crowd_from_one_address_takes_the_places_of_its_own(door: Door) -> None:
    _, other = await door.connect("127.0.0.3", HELLO)
    crowd = [await door.connect("127.0.0.2", HELLO) for _ in range(3 * MOST)]
    await until_answered(door, 3 * MOST + 1)

    assert sorted(door.accepting._answered.values()) == ["127.0.0.2", "127.0.0.2", "127.0.0.3"]
    for _, writer in (*crowd, (None, other)):
        writer.close()


async def test_silent_ones_of_one_address_take_the_places_of_its_own(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zerotrust.hardening.accepting.MOST_SILENT", 3)
    _, other = await door.connect("127.0.0.3")
    crowd = [await asyncio.open_connection(*door.address, local_addr=("127.0.0.2", 0)) for _ in range(4)]

    async with asyncio.timeout(HANG):
        for reader, _ in crowd[:2]:
            assert await reader.read() == b""  # the oldest have made room for the newest
    assert sorted(address for address, _ in door.accepting._silent.values()) == ["127.0.0.2", "127.0.0.2", "127.0.0.3"]
    for _, writer in (*crowd, (None, other)):
        writer.close()


async def test_handshakes_begin_a_few_in_a_pass(door: Door) -> None:
    """However many ClientHellos come at once."""
    door.accepting._most = 20
    begun = [await asyncio.open_connection(*door.address) for _ in range(10)]
    for _, writer in begun:
        writer.write(HELLO)
    seen, passes = 0, list[int]()
    async with asyncio.timeout(HANG):
        while len(door.answered) < len(begun):
            await asyncio.sleep(0)
            passes.append(len(door.answered) - seen)
            seen = len(door.answered)
    assert max(passes) <= HANDSHAKES_IN_A_PASS
    for _, writer in begun:
        writer.close()


@pytest.mark.parametrize(("error", "logged"), [(OSError(), 0), (ValueError(), 1)])
async def test_a_connection_that_an_answer_gives_up_is_closed_and_a_bug_is_logged(
    door: Door, caplog: pytest.LogCaptureFixture, error: Exception, logged: int
) -> None:
    door.accepting._answer = AsyncMock(side_effect=error)
    reader, writer = await door.connect("127.0.0.1", HELLO)
    async with asyncio.timeout(HANG):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    assert len(caplog.records) == logged
    assert door.accepting.sockets[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    writer.close()
