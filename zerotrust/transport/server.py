"""The HTTP server that every party runs behind: uvicorn, with a bound on all that a caller makes it hold or wait for.

A body is bounded by the gate, which knows who sends it; what comes before and after it is bounded here.
"""

import asyncio
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from zerotrust.spiffe.svid import NOBODY, Peer
from zerotrust.transport.accepting import Accepting, listen

MAX_CONNECTIONS = 500
"""Connections of all who come without a certificate.  One more takes a place from whoever holds most: from a user, once
it is known whose a connection is, and before that from an address.  It is the place of the connection that has asked
for nothing for the longest time, or is still at it: a body that comes in slowly keeps nobody out."""

MAX_OF_A_PARTY = 128
"""Connections of one party: as many as it may have requests under way, and some of its certificate before, which take
no more.  One more takes a place of the same party's: parties, people and attestation take nothing from each other."""

MAX_HANDSHAKES = 512
"""Handshakes under way.  At 1,000 new ones a second, each has half a second for the way to the caller and back."""

MAX_HEAD = 64 * 1024
"""Bytes of a request's headers, at their length and 32 each (as RFC 9113 section 6.5.2), and of whatever else the
parser keeps to itself until it is whole."""

PATIENCE = 10
"""Seconds for the handshake; for the head of a request, from its first byte or from the connection; and for an answer
to be read."""

IDLE = 75
"""Seconds that a silent connection is kept for the next request."""

LAST_CALL = 1
"""Seconds before the end of a connection's certificates at which it is closed, once what is under way is answered.
Callers begin nothing on it any more by then."""


class _Timer:
    """Breaks a connection off, unless it is stopped in time."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._due: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Give it PATIENCE seconds, if it is not running already."""
        self._due = self._due or asyncio.get_running_loop().call_later(PATIENCE, self._transport.abort)

    def stop(self) -> None:
        """Let the connection live."""
        if self._due:
            self._due.cancel()
        self._due = None


class Protocol(HttpToolsProtocol):
    """One connection.  Whatever is raised while a request is parsed makes it a 400, and the end of the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        peer: Peer = tls.peer if tls else NOBODY
        self._party, self._holder = peer.id, peer.id or str(self.client and self.client[0])
        self.app_state = {**self.app_state, "peer": peer, "held_by": self._held_by}  # goes with every request
        self._end = self.loop.call_later(peer.until - LAST_CALL - time.time(), self.shutdown) if tls else None
        self._for_head, self._for_reader = _Timer(transport), _Timer(transport)
        self._waits_since = self.loop.time()
        self._in_head, self._head, self._unread = True, 0, 0
        self._for_head.start()
        self._make_room()

    def _held_by(self, user: str) -> None:
        """Hear whose requests come over this connection."""
        self._holder = f"user {user}"

    def _make_room(self) -> None:
        """Break one connection off, where this one is too many among its like."""
        like = [other for other in self.connections if isinstance(other, Protocol) and other._party == self._party]
        if len(like) <= (MAX_OF_A_PARTY if self._party else MAX_CONNECTIONS):
            return
        held = Counter(other._holder for other in like)
        waiting = [other for other in like if other._asks_nothing]
        min(waiting, key=lambda other: (-held[other._holder], other._waits_since)).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._for_head.stop()
        self._for_reader.stop()
        if self._end:
            self._end.cancel()  # else it would keep the connection in memory
        super().connection_lost(exc)

    @property
    def _waiting(self) -> bool:
        """Whether it is open and nothing has been asked that is not answered yet."""
        return not self.transport.is_closing() and (self.cycle is None or self.cycle.response_complete)

    @property
    def _asks_nothing(self) -> bool:
        """Whether it is open and nothing that was asked in whole waits for its answer."""
        unfinished = self.cycle is not None and self.cycle.more_body
        return self._waiting or (unfinished and not self.transport.is_closing())

    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        super().data_received(data)
        if self._unread > MAX_HEAD and not self.transport.is_closing():
            self.send_400_response("Too large.")  # something without an end, which the parser keeps to itself
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
        if self._in_head:  # a trailer is no header (RFC 9110 section 6.5.1), and the gate has read the headers
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head, self._unread = False, 0
        self._for_head.stop()
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
    """Takes TLS connections in by `Accepting`, and gives a handshake no more time than the head of a request."""

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
    """Serve as `loop.create_server` does."""
    loop = asyncio.get_running_loop()

    async def handshake(connection: socket.socket) -> None:
        await loop.connect_accepted_socket(protocol, connection, ssl=ssl, ssl_handshake_timeout=PATIENCE)

    return Accepting(listen(host, port), handshake, most=MAX_HANDSHAKES, patience=PATIENCE)


def server(app: ASGIApp, *, host: str, port: int, tls: ssl.SSLContext | None) -> uvicorn.Server:
    """A server for one party's app.  Without TLS it knows no peer, and then a gate lets nobody in."""
    return _Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=Protocol,
            log_config=None,
            access_log=False,
            proxy_headers=False,  # nobody may say who somebody else is
            server_header=False,
            ws="none",
            reset_contextvars=True,  # else a pipelined request would start in the context of the one before it
            timeout_keep_alive=IDLE,
            timeout_graceful_shutdown=5,
            ssl_context_factory=(lambda *_: tls) if tls else None,
        )
    )
