"""Calls to other parties, by both HTTP clients over a real socket: each by its name, none on a void connection."""

import asyncio
import gc
import socket
import struct
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import httpcore
import httpcore2
import httpx
import httpx2
import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.support.attack_wire import as_server, connected, with_certificate
from tests.support.ca import CA, TRUST_DOMAIN, the_ca
from tests.support.door import Clock
from tests.support.outside import answering
from tests.support.waiting import serving, until
from zerotrust.hardening import pools
from zerotrust.hardening.pools import _MOST_READ, MAX_HEAD, REUSE_MARGIN, Connections, MCPConnections, _backend
from zerotrust.hardening.server import IDLE, LAST_CALL, server
from zerotrust.registry.model import dns_name
from zerotrust.registry.snapshot import Directory
from zerotrust.spiffe import tls
from zerotrust.spiffe.svid import Svid

READER, WRITER, ORCHESTRATOR = "agent/reader", "agent/writer", "orchestrator"


class Party:
    """A server of ours that answers with who asked, and counts connections by their ports."""

    def __init__(self, svid: Svid) -> None:
        self.context = tls.server_context(svid, certificate_needed=True)
        self.asked: list[str | None] = []
        self.connections: set[int] = set()
        self.headers: list[tuple[bytes, bytes]] = []
        """More of them, in each answer."""
        self.before: Callable[[], Awaitable[object]] | None = None
        """What to wait for before a request is answered."""
        self.server = server(self, host="127.0.0.1", port=0, tls=self.context)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        if self.before:
            await self.before()
        self.asked.append(scope["state"]["peer"].id)
        self.connections.add(scope["client"][1])
        headers = [(b"content-length", b"%d" % len(body)), *self.headers]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"


@asynccontextmanager
async def alive(party: Party) -> AsyncIterator[Party]:
    async with serving(party.server):
        yield party


def slowed(party: Party) -> tuple[asyncio.Event, asyncio.Event]:
    """The next request has begun; it is answered once the second one is set."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        begun.set()
        await go_on.wait()

    party.before = slow
    return begun, go_on


def directory(party: Party, name: str = READER) -> Directory:
    called = dns_name(name, TRUST_DOMAIN)
    return Directory({party.address: called}, {called: f"spiffe://{TRUST_DOMAIN}/{name}"})


@pytest.fixture
async def reader() -> AsyncIterator[Party]:
    async with alive(Party(the_ca().svid(READER))) as party:
        yield party


Kind = tuple[ModuleType, type[Any]]


@pytest.fixture(params=[(httpx, Connections), (httpx2, MCPConnections)], ids=["httpx", "httpx2"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """One of the two libraries, and its transport."""
    found: Kind = request.param
    return found


@asynccontextmanager
async def client(kind: Kind, to: Directory, svid: Svid | None = None) -> AsyncIterator[tuple[Any, Any]]:
    """A client of one of the two libraries, and its transport."""
    library, connect = kind
    transport = connect(to, svid or the_ca().svid(ORCHESTRATOR))
    async with library.AsyncClient(transport=transport) as http:
        yield http, transport


@pytest.fixture
async def calling(reader: Party, kind: Kind) -> AsyncIterator[tuple[Any, Any]]:
    """A client that may call the reader, and its transport."""
    async with client(kind, directory(reader)) as found:
        yield found


@pytest.fixture
def http(calling: tuple[Any, Any]) -> Any:
    return calling[0]


async def test_what_a_closed_connection_held_is_free_at_once(reader: Party, kind: Kind) -> None:
    """The collector is seldom there in a service, and each connection has 260 KiB of buffers."""
    gc.collect()
    gc.disable()
    try:
        async with client(kind, directory(reader)) as (http, _):
            answer = await http.get(reader.address)
            held = weakref.ref(answer.extensions["network_stream"].get_extra_info("ssl_object"))
            del answer
        await until(lambda: held() is None)
    finally:
        gc.enable()


async def test_what_a_call_does_on_a_connection_that_was_closed_meanwhile_is_an_error_of_its_library(
    reader: Party, kind: Kind, http: Any
) -> None:
    core = httpcore if kind[0] is httpx else httpcore2
    stream = (await http.get(reader.address)).extensions["network_stream"]
    await stream.aclose()
    await stream.aclose()
    with pytest.raises(core.ReadError):
        await stream.read(1)
    with pytest.raises(core.WriteError):
        await stream.write(b"x" * pools._MOST_AT_ONCE)
    assert stream.get_extra_info("is_readable")


INTERIM = b"HTTP/1.1 103\r\n\r\n"


@pytest.mark.parametrize(("interim", "taken"), [(3, True), (2 * MAX_HEAD // len(INTERIM), False)])
async def test_until_the_head_of_an_answer_is_there_only_so_much_is_read(
    kind: Kind, interim: int, *, taken: bool
) -> None:
    """Interim answers (RFC 9110 section 15.2) could come without end; each is parsed."""
    library, _ = kind
    whole = INTERIM * interim + b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + b"x" * 100_000
    called = dns_name(READER, TRUST_DOMAIN)
    async with answering(tls.server_context(the_ca().svid(READER), certificate_needed=True), whole) as (origin, _, _):
        reader = Directory({origin: called}, {called: f"spiffe://{TRUST_DOMAIN}/{READER}"})
        async with client(kind, reader) as (http, _):
            if taken:
                assert len((await http.get(origin)).content) == 100_000
            else:
                with pytest.raises(library.RemoteProtocolError, match="the head of the answer is too large"):
                    await http.get(origin)


@pytest.mark.parametrize("core", [httpcore, httpcore2])
async def test_little_is_read_at_once(core: Any) -> None:
    """What comes after the end of an answer is parsed with the next one, all of it in one go."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * 20 * _MOST_READ)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        stream = await _backend(core, dict).connect_tcp(*listening.sockets[0].getsockname())
        sizes = []
        while data := await stream.read(1 << 16):
            sizes.append(len(data))
        await stream.aclose()

    assert sum(sizes) == 20 * _MOST_READ
    assert max(sizes) <= _MOST_READ


async def test_calls_wait_for_a_connection_where_there_are_too_many(
    reader: Party, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "MAX_CONNECTIONS", 2)
    async with client(kind, directory(reader)) as (http, _):
        answers = await asyncio.gather(*(http.get(reader.address) for _ in range(20)))

    assert [answer.status_code for answer in answers] == [200] * 20
    assert len(reader.connections) == 2


async def test_a_name_that_leads_nowhere_is_called_where_the_party_listens(reader: Party, kind: Kind) -> None:
    name, port = dns_name(READER, TRUST_DOMAIN), int(reader.address.rpartition(":")[2])
    named = Directory({f"https://{name}:7": name}, directory(reader).parties, {name: ("127.0.0.1", port)})
    async with client(kind, named) as (http, _):
        assert (await http.post(f"https://{name}:7", content=b"x")).content == b"x"
        with pytest.raises(kind[0].ConnectError):  # the place alone is nobody's name
            await http.post(reader.address, content=b"x")


async def test_a_handshake_that_does_not_come_to_an_end_is_given_up(kind: Kind) -> None:
    let_go = asyncio.Event()

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        let_go.set()
        writer.transport.abort()

    silent = await asyncio.start_server(keep, "127.0.0.1", 0)
    address = f"https://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    name = dns_name(READER, TRUST_DOMAIN)
    async with client(kind, Directory({address: name}, {name: f"spiffe://{TRUST_DOMAIN}/{READER}"})) as (http, _):
        with pytest.raises(kind[0].ConnectTimeout):
            await http.get(address, timeout=0.2)
        async with asyncio.timeout(5):
            await let_go.wait()
    silent.close()


async def test_nobody_is_waited_for_who_does_not_take_the_call(kind: Kind) -> None:
    with socket.socket() as full, ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):  # nobody takes these either, so there is no room for one more
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(full.getsockname())
        address = f"https://127.0.0.1:{full.getsockname()[1]}"
        async with client(kind, Directory({address: "reader.test"}, {})) as (http, _):
            with pytest.raises(kind[0].ConnectTimeout):
                await http.get(address, timeout=kind[0].Timeout(20, connect=0.2))


async def test_nobody_is_waited_for_who_does_not_read(reader: Party, kind: Kind, http: Any) -> None:
    over = asyncio.Event()

    async def deaf(scope: Scope, _receive: Receive, _send: Send) -> None:
        if scope["type"] == "http":
            await over.wait()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1_000_000

    reader.server.config.loaded_app = deaf
    with pytest.raises(kind[0].WriteTimeout):
        await http.post(reader.address, content=endless(), timeout=kind[0].Timeout(20, write=0.2))
    over.set()


async def test_an_answer_that_does_not_come_is_given_up(reader: Party, kind: Kind, http: Any) -> None:
    over = asyncio.Event()
    reader.before = over.wait
    with pytest.raises(kind[0].ReadTimeout):
        await http.get(reader.address, timeout=kind[0].Timeout(60, read=0.2))
    over.set()


async def test_no_new_request_is_begun_on_a_connection_near_its_end(
    reader: Party, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is begun on it last has half of a certificate's life to come to its end."""
    svid = the_ca().svid(ORCHESTRATOR, left=600)
    clock = SimpleNamespace(time=time.time)
    monkeypatch.setattr(pools, "time", clock)
    async with client(kind, directory(reader), svid) as (http, _):
        for later, made in (0, 1), (290, 1), (310, 2):
            clock.time = partial(lambda later: time.time() + later, later)
            await http.get(reader.address)
            assert len(reader.connections) == made


@pytest.mark.parametrize("how", ["closed", "reset"])
async def test_a_connection_that_the_other_end_has_ended_is_not_used_again(reader: Party, http: Any, how: str) -> None:
    await http.get(reader.address)
    for held in list(reader.server.server_state.connections):
        connection: Any = held
        if how == "reset":  # nothing is said any more, not even that it is the end
            its_socket = connection.transport.get_extra_info("socket")
            its_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.transport.abort()
        connection.transport.close()
    await until(lambda: not reader.server.server_state.connections)
    await asyncio.sleep(0.05)
    await http.get(reader.address)

    assert len(reader.connections) == 2


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which certificates expire."""
    clock = Clock(time.time())
    monkeypatch.setattr(tls, "_clock", clock)
    return clock


class _Endless(Party):
    """Answers without end."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            with suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    if (await receive())["type"] == "http.disconnect":
                        return


@pytest.mark.parametrize("why", ["caller", "server", "removed authority", "clock set back"])
async def test_the_server_ends_an_answer_under_way(why: str, clock: Clock) -> None:
    """Also if its clock says that it has time: then it counts the seconds."""
    party = _Endless(the_ca().svid(READER, left={"server": 100, "clock set back": 3}.get(why)))
    mine = with_certificate(the_ca().svid(ORCHESTRATOR, left={"caller": 100}.get(why)))
    async with alive(party):
        reader, writer = await connected(int(party.address.rpartition(":")[2]), READER, mine)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"200")
        if why == "removed authority":
            tls.use_svid(party.context, the_ca().svid(READER, trusts=[CA()]))
        else:
            clock.now += -1000 if why == "clock set back" else 101
        async with asyncio.timeout(20):
            while await reader.read(1 << 16):
                pass
        writer.transport.abort()


async def test_the_caller_ends_an_answer_under_way_with_the_servers_certificate(kind: Kind, clock: Clock) -> None:
    """It does not look whole, although only its end would say how long it is."""

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.transport.is_closing():
            writer.write(b"x" * 1000)  # in tiny records it would end for another reason
            await asyncio.sleep(0.01)

    svid, name = the_ca().svid(READER, left=100), dns_name(READER, TRUST_DOMAIN)
    async with await asyncio.start_server(endless, "127.0.0.1", 0, ssl=as_server(svid)) as listening:
        address = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        async with (
            client(kind, Directory({address: name}, {name: svid.id})) as (http, _),
            http.stream("GET", address) as answer,
        ):
            pieces = answer.aiter_raw()
            clock.now += 99
            await anext(pieces)
            clock.now += 2
            async with asyncio.timeout(20):
                with pytest.raises(kind[0].ReadError):
                    assert not [piece async for piece in pieces]


async def test_what_is_under_way_to_a_party_of_a_removed_authority_ends(
    reader: Party, kind: Kind, calling: tuple[Any, Any]
) -> None:
    begun, go_on = slowed(reader)
    http, transport = calling
    asking = asyncio.create_task(http.post(reader.address, content=b"long"))
    await begun.wait()
    reader.before = None
    await http.get(reader.address)  # on a second connection, which is idle then
    transport.renew(the_ca().svid(ORCHESTRATOR, trusts=[CA()]))
    await until(lambda: not reader.server.server_state.connections)
    go_on.set()
    with pytest.raises(kind[0].HTTPError):
        await asking
    with pytest.raises(kind[0].ConnectError):
        await http.get(reader.address)
    assert len(reader.asked) == 2


async def test_the_old_pool_is_closed_when_its_certificate_ends(reader: Party, kind: Kind) -> None:
    svid = the_ca().svid(ORCHESTRATOR, left=1.9)
    async with client(kind, directory(reader), svid) as (http, transport):
        old = transport._pools[pools._PARTIES]
        old.aclose = AsyncMock()
        transport.renew(the_ca().svid(ORCHESTRATOR))
        assert len(transport._ending) == 1
        await until(lambda: not transport._ending)
        old.aclose.assert_awaited_once()
        await http.get(reader.address)


async def test_another_directory_counts_from_the_next_call_on(reader: Party, kind: Kind) -> None:
    async with client(kind, directory(reader, WRITER)) as (http, transport):
        with pytest.raises(kind[0].ConnectError):
            await http.get(reader.address)
        transport.use(directory(reader))
        await http.get(reader.address)
        transport.use(Directory({}, {}))
        with pytest.raises(kind[0].ConnectError, match="no party is registered at this address"):
            await http.get(reader.address)

    assert len(reader.asked) == 1


async def test_closing_it_leaves_nothing_behind(reader: Party, kind: Kind) -> None:
    async with client(kind, directory(reader)) as (http, transport):
        await http.get(reader.address)
        transport.renew(the_ca().svid(ORCHESTRATOR))
        await http.get(reader.address)
        [ending] = transport._ending.values()
        held: list[Any] = list(reader.server.server_state.connections)
    await until(lambda: not reader.server.server_state.connections)

    assert len(reader.connections) == len(held) == 2
    assert ending.cancelled()
    assert all(connection._end.cancelled() for connection in held)  # else it would be held until then
    assert vars(reader.context.sslobject_class)["watched"] == {}


class _Hearing(Party):
    """Says when it has heard something of a request."""

    def __init__(self, svid: Svid) -> None:
        super().__init__(svid)
        self.heard = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def apply_event() -> Message:
            message = await receive()
            self.heard.set()
            return message

        await super().__call__(scope, apply_event, send)


async def test_what_is_long_goes_out_while_it_is_made(kind: Kind) -> None:
    async with alive(party := _Hearing(the_ca().svid(READER))), client(kind, directory(party)) as (http, _):

        async def made() -> AsyncIterator[bytes]:
            party.heard.clear()
            yield b"x" * pools._MOST_AT_ONCE
            async with asyncio.timeout(5):
                await party.heard.wait()

        assert (await http.post(party.address, content=made())).status_code == 200


def test_the_server_ends_a_connection_after_its_callers_have_stopped_beginning_on_it() -> None:
    assert REUSE_MARGIN >= 2  # a request that has just been sent is read in time
    assert REUSE_MARGIN > LAST_CALL
    assert pools.KEEP_ALIVE < IDLE
