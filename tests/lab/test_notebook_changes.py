"""Who takes a party's place in notebooks, and how long a notebook waits for what it has changed."""

import asyncio
import ssl

import pytest

from lab.before.system import Answer
from lab.notebooks import temporary
from lab.notebooks.impostor import MOST, listening
from registration.run_lock import RunError
from start.system import HOST
from testkit.ca import CA
from tests.support.waiting import until as met
from zerotrust.spiffe.tls import server_context

READER, NAME = "agent/reader", "reader.agent.agents.example"
REQUEST = b"POST /a2a HTTP/1.1\r\nauthorization: Bearer eyJhbGciOi\r\n\r\n"


async def send(port: int, tls: ssl.SSLContext) -> None:
    _, writer = await asyncio.open_connection(HOST, port, ssl=tls, server_hostname=NAME)
    writer.write(REQUEST)
    await writer.drain()
    writer.transport.abort()


def careless() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def test_an_impostor_reads_what_a_careless_caller_sends() -> None:
    tls = server_context(CA("agents.example").svid(READER), certificate_needed=False)

    async with listening(tls) as (port, received):
        await send(port, careless())
        await met(lambda: received.read == REQUEST)

    assert str(received) == f"a TLS greeting, with a token, and {len(REQUEST)} bytes of a request"


async def test_an_impostor_reads_no_more_than_it_keeps() -> None:
    tls = server_context(CA("agents.example").svid(READER), certificate_needed=False)

    async with listening(tls) as (port, received):
        _, writer = await asyncio.open_connection(HOST, port, ssl=careless(), server_hostname=NAME)
        writer.write(b"x" * 2 * MOST)
        await met(lambda: len(received.sent) >= MOST)
        writer.transport.abort()

    assert len(received.sent) == MOST
    assert 0 < len(received.read) < MOST


async def test_what_does_not_take_effect_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> Answer:
        return Answer("200 ok")

    async def fail() -> None:
        raise RunError("the rule is refused")

    assert await temporary.wait_until("200 ok", ask) >= 0
    with pytest.raises(RunError, match="the rule is refused"):
        await temporary.wait_until("401 revoked", ask, after=asyncio.create_task(fail()))
    monkeypatch.setattr(temporary, "SECONDS", 0.01)
    with pytest.raises(TimeoutError, match="the answer is still '200 ok', and not '401 revoked'"):
        await temporary.wait_until("401 revoked", ask)
