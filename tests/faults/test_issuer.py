"""Keycloak slow, broken or talking nonsense, over a real socket: what is known goes on, everything else is a 503."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import httpx
import pytest

from tests.support.issuer import Issuer, Known
from zerotrust.decision import Denied, Reason, ReasonCode
from zerotrust.issuer.jwks import SigningKeys
from zerotrust.registry.model import Freshness

Misbehave = Callable[[asyncio.StreamWriter], Awaitable[None]]
COOLDOWN = 10


def told(head: bytes, body: bytes = b"") -> Misbehave:
    async def tell(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 " + head + b"\r\nconnection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    return tell


async def silent(_writer: asyncio.StreamWriter) -> None:
    """Nothing is said, and nothing is closed."""


async def reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def drip(writer: asyncio.StreamWriter) -> None:
    """A good beginning, and then a blank now and then."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{")
    while not writer.is_closing():
        writer.write(b" ")
        await asyncio.sleep(0.02)


async def gigabyte(writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n{"keys": [')
    for _ in range(1024):
        writer.write(b" " * (1 << 20))
        await writer.drain()


MISBEHAVIOURS = {
    "nothing": silent,
    "a drip": drip,
    "a gigabyte": gigabyte,
    "a reset": reset,
    "a page": told(b"200 OK\r\ncontent-type: text/html", b"<html>We will be right back."),
    "half an answer": told(b"200 OK\r\ncontent-length: 500", b'{"keys": [{"kid"'),
    "packed": told(b"200 OK\r\ncontent-encoding: gzip", b"\x1f\x8b"),
    "another type": told(b"200 OK\r\ncontent-type: image/png", b"\x89PNG"),
    "nonsense": told(b"200 OK\r\ncontent-type: application/json", b'{"access_token": {}, "keys": {"kid": 7}}'),
    "empty": told(b"204 No Content"),
    "elsewhere": told(b"302 Found\r\nlocation: http://127.0.0.1:1/"),
    "an error": told(b"500 Internal Server Error", b'{"error": "unknown_error"}'),
    "no HTTP": told(b"\x00\x01\x02 what"),
}
MISBEHAVING = pytest.mark.parametrize("how", MISBEHAVIOURS)


class StandIn:
    """An issuer on a socket: it serves its keys, or misbehaves as a test says; a token it never has."""

    def __init__(self, issuer: Issuer) -> None:
        self.keys = httpx.Response(200, json=issuer.key_set).content
        self.misbehave: Misbehave | None = None
        self.asked = 0
        self._calls: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._calls[asyncio.create_task(self.answer(reader, writer))] = writer

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        try:
            await reader.readuntil(b"\r\n\r\n")
            await (self.misbehave or told(b"200 OK", self.keys))(writer)
        except OSError:
            pass  # whoever asked has had enough

    async def end(self) -> None:
        for _ in range(3):  # what has been accepted already gets as far as a task
            await asyncio.sleep(0)
        for writer in self._calls.values():
            writer.transport.abort()
        await asyncio.gather(*self._calls, return_exceptions=True)


@pytest.fixture
async def stand_in(issuer: Issuer) -> AsyncIterator[tuple[StandIn, str]]:
    stand_in = StandIn(issuer)
    server = await asyncio.start_server(stand_in.accept, "127.0.0.1", 0)
    yield stand_in, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await stand_in.end()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """As a service has it."""
    async with httpx.AsyncClient(timeout=10, trust_env=False) as http:
        yield http


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds are long for a test: what is shown is that there is an end, whatever comes."""
    monkeypatch.setattr("zerotrust.limits.answers.SECONDS", 0.5)
    monkeypatch.setattr("zerotrust.issuer.exchange.SECONDS", 0.5)


class Moving:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def keys_of(address: str, http: httpx.AsyncClient, clock: Callable[[], float] = time.monotonic) -> SigningKeys:
    freshness = Freshness(keys=300, keys_cooldown=COOLDOWN, svid=60, x509_svid=120, revocations=3)
    return SigningKeys(Known(jwks_uri=address), http=http, freshness=freshness, clock=clock)


@MISBEHAVING
async def test_keys_go_on_within_their_life_and_are_asked_for_once_per_cooldown_and_found_again(
    stand_in: tuple[StandIn, str], http: httpx.AsyncClient, how: str
) -> None:
    issuer, address = stand_in
    clock = Moving()
    keys = keys_of(address, http, clock)
    known = await keys.key("k1")
    issuer.misbehave, clock.now = MISBEHAVIOURS[how], COOLDOWN

    for _ in range(20):
        assert await _refused(keys.key("another")) is Reason.KEYS_UNAVAILABLE
        assert await keys.key("k1") is known
    assert issuer.asked == 2

    clock.now = 301
    assert await _refused(keys.key("k1")) is Reason.KEYS_UNAVAILABLE

    issuer.misbehave, clock.now = None, 301 + COOLDOWN
    assert await keys.key("k1") is known


async def _refused(asked: Coroutine[Any, Any, object]) -> ReasonCode:
    with pytest.raises(Denied) as refused:
        await asyncio.wait_for(asked, 30)
    assert refused.value.status == 503
    return refused.value.reason
