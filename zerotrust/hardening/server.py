"""The HTTP server of every party: uvicorn, with a bound on everything that a caller can make it hold or wait for.

The gate, which knows the sender, bounds the body; this module bounds everything before and after it.
"""

import asyncio
import socket
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from zerotrust.hardening.accepting import Accepting, listen
from zerotrust.spiffe.svid import NO_PEER
from zerotrust.spiffe.tls import ExpiringTLS

MAX_CONNECTIONS = 500
"""Connections of all callers without a certificate.  One more replaces a connection of the holder with the most: of a
user, or of an address until the user is known.  That connection has been idle, or
sending its request, for the longest time: a body that comes in slowly keeps no other caller out."""

MAX_OF_A_PARTY = 128
"""Connections of one party: one for each request that may be under way, and some of its last certificate, which take
no new requests.  One more replaces one of the same party: parties, people and attestation do not compete."""

MAX_HANDSHAKES = 512
"""Handshakes under way.  At 1,000 new connections a second, each has half a second for a round trip to the caller."""

MAX_HEAD = 64 * 1024
"""Bytes of a request's headers, each counted with 32 more (as RFC 9113 section 6.5.2), and of any other element that
the parser buffers until it is complete."""

PATIENCE = 10
"""Seconds for the handshake; for the head of a request, from its first byte or from the connection; and for the caller
to read an answer."""

IDLE = 75
"""Seconds that an idle connection is kept for the next request."""

LAST_CALL = 1
"""Seconds before the end of a connection's certificates at which it is closed, once the request under way is answered.
By then, callers start no new request on it."""


class _Timer:
    """Aborts a connection, unless it is stopped in time."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._due: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start to run for `PATIENCE` seconds, unless it runs already."""
        self._due = self._due or asyncio.get_running_loop().call_later(PATIENCE, self._transport.abort)

    def stop(self) -> None:
        """Stop, and keep the connection."""
        if self._due:
            self._due.cancel()
        self._due = None


@dataclass(slots=True)
class _Holder:
    """The holder of a connection: a party, an address, or the user whose requests come over it."""

    name: str

    def note_user(self, user: str) -> None:
        self.name = f"user {user}"


class Protocol(HttpToolsProtocol):
    """One connection.  An exception while a request is parsed is answered with 400, and ends the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        super().connection_made(transport)
        self._tls: ExpiringTLS | None = transport.get_extra_info("ssl_object")
        peer = self._tls.watch(transport.abort) if self._tls else NO_PEER
        self._party, self._holder = peer.id, _Holder(peer.id or (self.client[0] if self.client else ""))
        # It goes with every request.  If it referred to this connection, that would make a cycle, and the 260 KiB
        # would wait for the garbage collector.
        self.app_state = {**self.app_state, "peer": peer, "note_user": self._holder.note_user}
        self._end = self.loop.call_later(peer.until - LAST_CALL - time.time(), self.shutdown) if self._tls else None
        self._for_head, self._for_reader = _Timer(transport), _Timer(transport)
        self._waits_since = self.loop.time()
        self._in_head, self._head, self._unread = True, 0, 0
        self._for_head.start()
        self._make_room()

    def _make_room(self) -> None:
        """Abort one connection of the same kind (party, or without certificate), if there is one too many."""
        # control: connections-of-own-party
        like = [other for other in self.connections if isinstance(other, Protocol) and other._party == self._party]
        if len(like) <= (MAX_OF_A_PARTY if self._party else MAX_CONNECTIONS):
            return
        held = Counter(other._holder.name for other in like)
        waiting = [other for other in like if other._asks_nothing]
        # control: most-connections-give-way
        min(waiting, key=lambda other: (-held[other._holder.name], other._waits_since)).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._for_head.stop()
        self._for_reader.stop()
        if self._tls:
            self._tls.unwatch()
        if self._end:
            self._end.cancel()  # the timer would keep the connection in memory
        super().connection_lost(exc)

    @property
    def _waiting(self) -> bool:
        """Whether the connection is open and every request on it is answered."""
        return not self.transport.is_closing() and (self.cycle is None or self.cycle.response_complete)

    @property
    def _asks_nothing(self) -> bool:
        """Whether the connection is open and no complete request on it waits for its answer."""
        unfinished = self.cycle is not None and self.cycle.more_body
        return self._waiting or (unfinished and not self.transport.is_closing())

    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        super().data_received(data)
        if self._unread > MAX_HEAD and not self.transport.is_closing():
            self.send_400_response("Too large.")  # an element without an end, which the parser buffers
        if self._waiting:  # half a head, or the body of a request that is answered already
            self._for_head.start()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head = True, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._unread = 0
        self._head += len(name) + len(value) + 32
        if self._head > MAX_HEAD:
            raise ValueError("too large")
        if self._in_head:  # a trailer is not a header (RFC 9110 section 6.5.1), and the gate has read the headers
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head, self._unread = False, 0
        self._for_head.stop()
        # control: one-host-header
        if self.parser.should_upgrade() or [name for name, _ in self.headers].count(b"host") != 1:
            raise ValueError("another protocol, or not one host (RFC 9112 section 3.2)")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        self._waits_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._for_reader.start()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._for_reader.stop()


class _Server(uvicorn.Server):
    """Accepts TLS connections with `Accepting`, and gives a handshake as much time as the head of a request."""

    before_end: Callable[[], Awaitable[None]] | None = None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.before_end and not self.force_exit:
            await self.before_end()
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        loop: Any = asyncio.get_running_loop()
        if self.config.ssl:  # uvicorn has no option for it
            loop.create_server = _create_server
        try:
            await super().startup(sockets)
        finally:
            loop.__dict__.pop("create_server", None)


async def _create_server(
    protocol: Callable[[], asyncio.Protocol], *, host: str, port: int, ssl: ssl.SSLContext, **_: object
) -> Accepting:
    loop = asyncio.get_running_loop()

    async def handshake(connection: socket.socket) -> None:
        await loop.connect_accepted_socket(protocol, connection, ssl=ssl, ssl_handshake_timeout=PATIENCE)

    return Accepting(listen(host, port), handshake, most=MAX_HANDSHAKES, patience=PATIENCE)


def server(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    before_end: Callable[[], Awaitable[None]] | None = None,
) -> uvicorn.Server:
    """Return a server for one party's app.  Without TLS there is no peer, and a gate refuses every request.

    The server awaits `before_end` when it is asked to end, and still serves then.
    """
    made = _Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=Protocol,
            log_config=None,
            access_log=False,
            proxy_headers=False,  # no header may say who the caller is
            server_header=False,
            ws="none",
            reset_contextvars=True,  # otherwise a pipelined request would start in the context of the previous one
            timeout_keep_alive=IDLE,
            timeout_graceful_shutdown=5,
            ssl_context_factory=(lambda *_: tls) if tls else None,
        )
    )
    made.before_end = before_end
    return made
