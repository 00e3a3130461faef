"""W. What one answer of a compromised party costs its caller, and what TLS costs whoever reads it."""

import gzip
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.attack import Attempt, Scene, Tries, attack
from tests.support.ca import TRUST_DOMAIN, the_ca
from tests.support.issuer import Issuer
from tests.support.key_updates import Stranger
from tests.support.outside import answering
from tests.support.system import fresh_revocations
from zerotrust.context import REQUEST, RequestContext
from zerotrust.hardening.pools import Connections, MCPConnections
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.limits.answers import MAX_ANSWER
from zerotrust.registry.model import dns_name
from zerotrust.registry.snapshot import Directory
from zerotrust.service import Service
from zerotrust.spiffe.tls import server_context
from zerotrust.transport.egress import EgressClients, calling_with

READER, CALLER = "agent/reader", "orchestrator"
READER_ID = f"spiffe://{TRUST_DOMAIN}/{READER}"


@dataclass
class Compromised(Scene):
    """An agent that answers with whatever bytes it likes, and a party that calls it."""

    tls: ssl.SSLContext

    @asynccontextmanager
    async def answers(self, answer: bytes) -> AsyncIterator[tuple[Mapping[str, Any], str, list[bytes]]]:
        """Give the caller's clients by name, the agent's address, and the heads of the requests that it gets."""
        async with answering(self.tls, answer) as (origin, heard, _):
            called, svid = dns_name(READER, TRUST_DOMAIN), the_ca().svid(CALLER)
            directory = Directory({origin: called}, {called: READER_ID})
            egress = EgressClients(
                {READER_ID: origin},
                revocations=fresh_revocations(),
                transport=Connections(directory, svid),
                mcp_transport=MCPConnections(directory, svid),
            )
            REQUEST.set(RequestContext())  # what the gate does for the request being handled
            with calling_with(ExchangedToken(READER_ID, "t", time.time() + 60, "T")):
                yield (
                    {
                        "a2a": egress.http,
                        "mcp": egress.mcp_http,
                        "cards": egress.without_token,
                    },
                    origin,
                    heard,
                )
            await egress.close()


@asynccontextmanager
async def compromised(_folder: Path, _issuer: Issuer, _kind: type[Service]) -> AsyncIterator[Compromised]:
    """An agent whose certificate is genuine."""
    yield Compromised(server_context(the_ca().svid(READER), certificate_needed=True))


@attack(215, compromised)
async def test_cookies_that_go_with_everybodys_calls(target: Compromised) -> Tries:
    """The clients are those of all users, and one domain is above all parties."""
    cookie = b"set-cookie: c=" + b"x" * 4000 + b"; Path=/\r\n"
    async with target.answers(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n" + cookie + b"\r\n") as (
        clients,
        origin,
        heard,
    ):
        for client in clients.values():
            heard.clear()
            answers = [await client.post(origin) for _ in range(2)]
            yield Attempt(str(answers[1].status_code), succeeded=b"\r\ncookie: " in heard[1].lower())


def _answer(body: bytes, kind: bytes = b"application/json", *, more: bytes = b"") -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b\r\n"
    return head % (kind, len(body), more) + body


async def _got(client: Any, origin: str) -> Attempt:
    """Whether the caller got the answer."""
    try:
        status = (await client.post(origin)).status_code
    except httpx.RemoteProtocolError:
        status = 0
    return Attempt(str(status or "no answer"), succeeded=status == 200)


COSTLY = {
    "answer-pieces": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"1\r\n0\r\n" * 1000 + b"0\r\n\r\n",
    "answer-elements": _answer(b"[0" + b",0" * 5000 + b"]"),
    "answer-no-stream": _answer(b"data\n\n" * 1000, b"text/event-stream"),
    "answer-head": b"HTTP/1.1 103\r\n\r\n" * 1000 + _answer(b"{}"),
}
"""What stops each, and as much of it as shows a bound; without one, a mebibyte held the loop for seconds."""


@attack(216, compromised)
async def test_an_answer_that_is_costly_to_read(target: Compromised) -> Tries:
    """An SDK must not get it, nor may a client read it to its end."""
    for by, answer in COSTLY.items():
        async with target.answers(answer) as (clients, origin, _):
            for client in (clients["a2a"], clients["mcp"]):
                yield (await _got(client, origin)).stopped_by(by)


@attack(217, compromised)
async def test_an_answer_that_expands(target: Compromised) -> Tries:
    """It was not asked for, and a server outside is asked as a party is."""
    bomb = _answer(gzip.compress(b"0" * 2 * MAX_ANSWER), more=b"content-encoding: gzip\r\n")
    async with target.answers(bomb) as (clients, origin, _):
        try:
            yield await _got(clients["cards"], origin)
        except httpx.DecodingError:  # all of it was expanded, and then once more
            yield Attempt("expanded", succeeded=True)


@attack(260, compromised)
async def test_a_text_that_is_costly_to_decode(target: Compromised) -> Tries:
    """It names the codec itself; this one takes the square of the length: 39 s for 800 KB."""
    async with target.answers(_answer(b"x-a", b"text/plain; charset=punycode")) as (clients, origin, _):
        for client in clients.values():
            answer = await client.post(origin)
            yield Attempt(str(answer.status_code), succeeded=answer.encoding != "utf-8")


@attack(218, Scene)
async def test_updates_of_the_key_without_end(scene: Scene) -> Tries:
    """Each record costs some microseconds, and all that have come are worked through at once."""
    for name in "updating", "dripping":
        (scene.place / name).mkdir()
    updating, dripping = Stranger(scene.place / "updating"), Stranger(scene.place / "dripping")
    for _ in range(100):
        updating.to_service.write(updating.key_updates(1) + updating.data(b"x" * 10_000))
    dripping.to_service.write(b"".join(dripping.data(b"x") for _ in range(1000)))
    for stranger, all_of_it, by in (
        (updating, 1_000_000, "records-without-data"),
        (dripping, 1000, "records-for-their-data"),
    ):
        try:
            read = len(stranger.read())
        except ssl.SSLError:
            read = 0
        yield Attempt("the end of the connection", succeeded=read == all_of_it).stopped_by(by)
