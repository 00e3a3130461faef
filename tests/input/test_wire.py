"""Raw bytes at the real server, with the real gate behind it: an answer or the end of the connection, and no hang."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from starlette.types import Receive, Scope, Send

from tests.support.ca import TRUST_DOMAIN, the_ca
from tests.support.door import ADDRESS, NOW, Door
from tests.support.issuer import Issuer
from tests.support.waiting import serving
from zerotrust.hardening.server import MAX_HEAD, Protocol, server
from zerotrust.registry.model import Registry, dns_name
from zerotrust.spiffe.tls import client_context, server_context

HEAD = b"GET /health HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /tasks HTTP/1.1\r\nHost: x\r\nAuthorization: DPoP TOKEN\r\nDPoP: PROOF\r\n"
STRANGER = b"POST /tasks HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
UPGRADE = HEAD + b"Connection: Upgrade\r\nUpgrade: "

LONG = 1e9
"""Seconds that a certificate lives here: the door's clock stands still, in another year."""

HANG = 30
"""Seconds after which it is no noise of the machine any more."""


class Wire:
    """The orchestrator's door behind a server, and somebody who opens connections to it."""

    def __init__(self, door: Door, issuer: Issuer) -> None:
        self.door, self.issuer = door, issuer
        tls = server_context(the_ca().svid("orchestrator", life=LONG), certificate_needed=False)
        self.server = server(door.gate, host="127.0.0.1", port=0, tls=tls)

    async def connect(
        self, sent: bytes = b"", *, party: str | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A new connection, a party's or a person's, with these bytes sent."""
        host, port = self.server.servers[0].sockets[0].getsockname()
        ids = {dns_name("orchestrator", TRUST_DOMAIN): f"spiffe://{TRUST_DOMAIN}/orchestrator"}
        tls = client_context(the_ca().svid(party, life=LONG), ids) if party else the_ca().for_users()
        reader, writer = await asyncio.open_connection(host, port, ssl=tls, server_hostname=next(iter(ids)))
        if party:
            writer.get_extra_info("ssl_object").watch(writer.transport.abort)
        writer.write(self.filled_in(sent))
        return reader, writer

    def filled_in(self, sent: bytes, user: str = "alice") -> bytes:
        """The bytes, with a token of that user, and a proof of its own for each request."""
        token = self.issuer.token(sub=user)
        while b"PROOF" in sent:
            proof = self.door.user_key.prove("POST", f"{ADDRESS}/tasks", token)
            sent = sent.replace(b"PROOF", proof.encode(), 1)
        return sent.replace(b"TOKEN", token.encode())

    async def talk(self, sent: bytes) -> bytes:
        """Send these bytes, and return what comes back until the server closes."""
        reader, writer = await self.connect(sent)
        answer = b""
        try:
            async with asyncio.timeout(HANG):
                while chunk := await reader.read(65536):
                    answer += chunk
        except ConnectionError:  # it did not wait for all that was sent
            pass
        finally:
            writer.close()
        return answer

    async def check_alive(self) -> None:
        """A good request is answered."""
        handled = len(self.door.handled)
        answer = await self.talk(POST + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}")
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert len(self.door.handled) == handled + 1


async def handler(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the body; there is nothing to start or to end."""
    if scope["type"] == "http":
        await Door.echo(scope, receive, send)


@pytest.fixture
async def wire(tmp_path: Path, registry: Registry, signing_key: RSAPrivateKey) -> AsyncIterator[Wire]:
    issuer = Issuer(registry, key=signing_key, clock=lambda: NOW)
    door = Door(tmp_path, issuer, handler=handler)
    wire = Wire(door, issuer)
    async with serving(wire.server):
        yield wire
    door.close()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\0", id="one byte"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(170), id="TLS"),
        pytest.param(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 1\r\n" + HEAD + b"\r\n", id="PROXY"),
        pytest.param(UPGRADE + b"websocket\r\nSec-WebSocket-Key: AAAA\r\n\r\n", id="websocket"),
        pytest.param(UPGRADE + b"h2c\r\n\r\n" + HEAD + b"\r\n", id="h2c with a request behind it"),
        pytest.param(b"CONNECT /tasks HTTP/1.1\r\nHost: x\r\n\r\n", id="CONNECT"),
        pytest.param(b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", id="CONNECT to a host"),
        pytest.param(b"GET health HTTP/1.1\r\nHost: x\r\n\r\n", id="target without a slash"),
        pytest.param(b"GET /health\0 HTTP/1.1\r\nHost: x\r\n\r\n", id="NUL in the target"),
        pytest.param(HEAD.replace(b"\r", b"") + b"\n", id="lines end with LF"),
        pytest.param(HEAD + b"X: a\nAuthorization: b\r\n\r\n", id="LF in a header"),
        pytest.param(HEAD + b"X: a\rY: b\r\n\r\n", id="CR in a header"),
        pytest.param(HEAD + b"X: a\0b\r\n\r\n", id="NUL in a header"),
        pytest.param(HEAD + b"X: %s\r\n\r\n" % (b"a" * 70_000), id="70 kB header"),
        pytest.param(HEAD + b"X: a\r\n" * 10_000 + b"\r\n", id="10,000 headers"),
        pytest.param(b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 70_000), id="70 kB target"),
        pytest.param(HEAD + b"X: " + b"a" * 1_000_000, id="a header without an end"),
        pytest.param(HEAD + b"a" * 1_000_000, id="a header's name without an end"),
        pytest.param(b"GET /" + b"a" * 1_000_000, id="a target without an end"),
        pytest.param(b"\r\n" * 500_000, id="lines without an end"),
        pytest.param(CHUNKED + b"2;" + b"a" * 1_000_000, id="a chunk's extension without an end"),
        pytest.param(CHUNKED + b"2\r\n{}\r\n0\r\nX: " + b"a" * 1_000_000, id="a trailer without an end"),
        pytest.param(CHUNKED + b"2\r\n{}\r\n0\r\n" + b"X: a\r\n" * 10_000, id="trailers without an end"),
        pytest.param(CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", id="chunk size zz"),
        pytest.param(CHUNKED + b"f" * 18 + b"\r\n{}", id="chunk size too large"),
        pytest.param(CHUNKED + b"2\n{}\n0\n\n", id="chunks end with LF"),
        pytest.param(POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", id="TE with a space"),
        pytest.param(POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", id="two lengths"),
        pytest.param(POST + b"Content-Length: 2, 2\r\n\r\n{}", id="a list of lengths"),
        pytest.param(POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n{}", id="a length of 30 digits"),
    ],
)
async def test_what_is_not_http_ends_the_connection(wire: Wire, sent: bytes) -> None:
    answer = await wire.talk(sent)

    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert b"Traceback" not in answer
    assert wire.door.handled == []
    await wire.check_alive()


LAST = b"Connection: close\r\n\r\n"


async def test_a_head_of_almost_the_largest_size_is_read(wire: Wire) -> None:
    answer = await wire.talk(HEAD + b"X: %s\r\n" % (b"a" * (MAX_HEAD - 200)) + LAST)

    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_trailer_is_no_header(wire: Wire) -> None:
    seen: list[bytes] = []

    async def headers(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await Door.echo(scope, receive, send)
            seen.extend(name for name, _ in scope["headers"])

    wire.door.handler = headers
    chunked = POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    answer = await wire.talk(chunked + b"X-User: bob\r\nAuthorization: Bearer another\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert seen == [b"host", b"authorization", b"dpop", b"connection", b"transfer-encoding"]


# nothing waits for ever


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zerotrust.hardening.server.PATIENCE", 0.5)
    monkeypatch.setattr("zerotrust.transport.requests.MAX_BODY_SECONDS", 0.5)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"", b"", id="nothing"),
        pytest.param(b"GET /hea", b"", id="half a line"),
        pytest.param(HEAD, b"", id="half a head"),
        pytest.param(HEAD + b"\r\n" + HEAD, b"200", id="half a head after a whole one"),
        pytest.param(STRANGER + b"Content-Length: 100\r\n\r\n{", b"401", id="a stranger's body"),
        pytest.param(POST + b"Content-Length: 100\r\n\r\n{", b"408", id="a known caller's body"),
        pytest.param(CHUNKED + b"2\r\n{}\r\n0\r\n", b"408", id="a body without its last chunk"),
    ],
)
@pytest.mark.usefixtures("impatient")
async def test_half_a_request_and_then_a_drip_is_broken_off(wire: Wire, sent: bytes, status: bytes) -> None:
    reader, writer = await wire.connect(sent)

    async def drip() -> None:
        while sent:
            writer.write(b"a")
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    answer = b""
    try:
        async with asyncio.timeout(HANG):
            answer = await reader.readuntil(b"\r\n")
            await reader.read()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    dripping.cancel()
    writer.close()

    assert answer[9:12] == status


@pytest.mark.usefixtures("impatient")
async def test_a_caller_waits_for_its_answer_as_long_as_that_takes(wire: Wire) -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await asyncio.sleep(0.7)
            await handler(scope, receive, send)

    wire.door.handler = slow

    assert (await wire.talk(HEAD + LAST)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.usefixtures("impatient")
async def test_an_answer_that_nobody_reads_is_given_up(wire: Wire) -> None:
    given_up = asyncio.Event()

    async def talkative(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while wire.server.server_state.connections:  # until the caller is gone, in whose way the answer waits
                await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
            given_up.set()

    wire.door.handler = talkative
    _, writer = await wire.connect(POST + b"Content-Length: 2\r\n\r\n{}")
    async with asyncio.timeout(HANG):
        await given_up.wait()
    writer.close()


async def held(wire: Wire) -> Protocol:
    """The one connection that the server holds."""
    async with asyncio.timeout(HANG):
        while not wire.server.server_state.connections:
            await asyncio.sleep(0.01)
    (protocol,) = wire.server.server_state.connections
    assert isinstance(protocol, Protocol)
    return protocol


async def test_whoever_goes_on_to_read_is_not_given_up(wire: Wire) -> None:
    _, writer = await wire.connect(HEAD)
    protocol = await held(wire)

    protocol.pause_writing()
    assert protocol.flow.write_paused
    assert protocol._for_reader._due
    protocol.resume_writing()

    assert not protocol.flow.write_paused
    assert protocol._for_reader._due is None
    writer.close()


async def test_nothing_is_timed_any_more_when_a_connection_is_gone(wire: Wire) -> None:
    _, writer = await wire.connect(HEAD)
    protocol = await held(wire)
    protocol.pause_writing()
    assert protocol._for_head._due
    writer.close()

    async with asyncio.timeout(HANG):
        while wire.server.server_state.connections:
            await asyncio.sleep(0.01)

    assert protocol._for_head._due is None
    assert protocol._for_reader._due is None


async def test_one_connection_too_many_takes_the_place_of_the_one_that_waits_longest(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zerotrust.hardening.server.MAX_CONNECTIONS", 3)
    busy, finish = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/tasks":
            busy.set()
            await finish.wait()
        await handler(scope, receive, send)

    wire.door.handler = slow
    at_work, work = await wire.connect(POST + LAST)
    await busy.wait()
    halves = [await wire.connect(HEAD) for _ in range(4)]

    for reader, _ in halves[:2]:
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            async with asyncio.timeout(HANG):
                await reader.readexactly(1)
    for reader, writer in halves[2:]:
        writer.write(LAST)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    finish.set()
    assert (await at_work.readline()).startswith(b"HTTP/1.1 200 ")
    for _, writer in [*halves, (at_work, work)]:
        writer.close()


async def test_bodies_that_come_in_slowly_keep_nobody_out(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zerotrust.hardening.server.MAX_CONNECTIONS", 3)
    monkeypatch.setattr("zerotrust.transport.requests.MAX_BODY_SECONDS", 1000)
    ok, opened = b"HTTP/1.1 200 ", [await wire.connect()]
    kept, keeping = opened[0]
    async with asyncio.timeout(HANG):
        for _ in range(8):
            opened.append(await wire.connect(HEAD + b"Content-Length: 100\r\n\r\na"))
            keeping.write(HEAD + b"\r\n")
            await kept.readuntil(ok)
        opened.append(await wire.connect(HEAD + b"\r\n"))
        await opened[-1][0].readuntil(ok)
    for _, writer in opened:
        writer.close()


async def test_no_connection_gives_up_its_place_twice(wire: Wire) -> None:
    """Else of several that come at once only the first would take somebody's place."""
    _, writer = await wire.connect(HEAD + b"Content-Length: 100\r\n\r\na")
    async with asyncio.timeout(HANG):
        while not [one for one in wire.server.server_state.connections if isinstance(one, Protocol) and one.cycle]:
            await asyncio.sleep(0.01)
    [slow] = wire.server.server_state.connections
    assert isinstance(slow, Protocol)
    assert slow._asks_nothing

    slow.transport.abort()

    assert not slow._asks_nothing
    writer.close()


async def test_many_connections_at_once_are_no_more_than_may_be(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zerotrust.hardening.server.MAX_CONNECTIONS", 3)
    monkeypatch.setattr("zerotrust.hardening.server.PATIENCE", 1000)
    opened = await asyncio.gather(*(wire.connect() for _ in range(30)))
    ended = asyncio.gather(*(reader.read() for reader, _ in opened), return_exceptions=True)

    def broken_off() -> int:
        return sum(reader.at_eof() or reader.exception() is not None for reader, _ in opened)

    async with asyncio.timeout(HANG):
        while broken_off() < 27:
            await asyncio.sleep(0.01)

    assert len(wire.server.server_state.connections) == 3
    for _, writer in opened:
        writer.close()
    await ended


async def answered(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], sent: bytes = HEAD + b"\r\n"
) -> bytes:
    """Send a request over a connection that there is, and return the first line of the answer."""
    reader, writer = connection
    writer.write(sent)
    async with asyncio.timeout(HANG):
        head = await reader.readuntil(b"\r\n\r\n")
    body = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: ")]
    await reader.readexactly(int(body[0].partition(b" ")[2]) if body else 0)
    return head.partition(b"\r\n")[0]


READER, WRITER = "agent/reader", "agent/writer"
OK = b"HTTP/1.1 200 OK"


@pytest.fixture
def crowded(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Wire:
    """A server with few places, which answers with a length."""

    async def told(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})

    wire.door.handler = told
    monkeypatch.setattr("zerotrust.hardening.server.MAX_CONNECTIONS", 3)
    monkeypatch.setattr("zerotrust.hardening.server.MAX_OF_A_PARTY", 2)
    return wire


async def test_a_party_that_opens_many_connections_takes_places_from_nobody_else(crowded: Wire) -> None:
    people = [await crowded.connect() for _ in range(3)]
    writer = await crowded.connect(party=WRITER)
    readers = [await crowded.connect(party=READER) for _ in range(6)]

    for connection in (*people, writer, *readers[-2:]):
        assert await answered(connection) == OK
    for reader, _ in readers[:-2]:
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            async with asyncio.timeout(HANG):
                await reader.readexactly(1)
    for _, stream in (*people, writer, *readers):
        stream.close()


async def test_people_who_open_many_connections_take_places_from_no_party(crowded: Wire) -> None:
    reader = await crowded.connect(party=READER)
    people = [await crowded.connect() for _ in range(8)]

    assert await answered(reader) == OK
    assert await answered(people[-1]) == OK
    for _, stream in (reader, *people):
        stream.close()


async def test_a_user_with_many_connections_takes_no_place_from_one_with_few(crowded: Wire) -> None:
    """Bob's is the one that waits longest; but most are alice's."""

    async def served(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], user: str) -> bool:
        return await answered(connection, crowded.filled_in(POST, user) + b"Content-Length: 2\r\n\r\n{}") == OK

    bobs = await crowded.connect()
    assert await served(bobs, "bob")
    opened = [await crowded.connect() for _ in range(2)]
    for connection in opened:
        assert await served(connection, "alice")
    for _ in range(6):
        opened.append(await crowded.connect())
        assert await served(opened[-1], "alice")

    assert await served(bobs, "bob")
    for _, stream in (bobs, *opened):
        stream.close()


async def test_what_a_closed_connection_held_is_free_at_once(wire: Wire) -> None:
    """The collector is seldom there in a service, and each connection has 260 KiB of buffers."""
    gc.collect()
    gc.disable()
    try:
        for party, sent in (None, POST + b"Content-Length: 2\r\n\r\n{}"), ("agent/reader", HEAD):
            reader, writer = await wire.connect(sent, party=party)
            if sent != HEAD:
                await reader.readuntil(b"\r\n\r\n")
            held = list[weakref.ref[object]]()
            async with asyncio.timeout(HANG):
                while not (open_ := wire.server.server_state.connections):
                    await asyncio.sleep(0.01)
                for one in open_:
                    held += weakref.ref(one), weakref.ref(one.transport.get_extra_info("ssl_object"))
                del one
                writer.close()
                while any(one() for one in held):
                    await asyncio.sleep(0.01)
    finally:
        gc.enable()
