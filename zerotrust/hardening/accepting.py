"""Accepts TLS connections so that strangers who open many of them cost little and delay others little.

A TLS connection costs a millisecond of the event loop and up to 260 KiB before the peer is known.  So:

- A connection is only a descriptor until its whole ClientHello has come.
- Each pass of the event loop accepts one connection and starts few handshakes.  The other tasks of this process run in
  between.
- If there are too many connections, a new one replaces the oldest one of the address that holds most.
"""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from zerotrust.hardening.turns import Turns

MOST_SILENT = 512
"""Connections whose ClientHello has not come yet."""
HANDSHAKES_IN_A_PASS = 2
"""Handshakes that start in one pass of the event loop: about 2 ms of work."""
LONGEST_HELLO = 16 * 1024
"""Bytes of a ClientHello: as many as a TLS record may have (RFC 8446 section 5.1).  The usual one has up to 2 KiB."""
MOST_WAITING = 4096
"""Connections that the kernel queues until they are accepted, for a second at most; Linux's default limit."""
SECONDS_WITHOUT_DESCRIPTORS = 0.1
"""Seconds to wait after a failed `accept`: mostly, no descriptor was left."""

Answer = Callable[[socket.socket], Coroutine[Any, Any, object]]
"""Takes over a connection whose ClientHello has come, and ends by itself.  An `OSError` is the peer's fault."""

Held = TypeVar("Held")

_HANDSHAKE = b"\x16"
_RECORD_HEAD = 5

log = logging.getLogger(__name__)


def listen(host: str, port: int) -> socket.socket:
    """Listen on this address; `port` 0 takes any free port.  Raises `OSError` if the port is not available."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=MOST_WAITING)
    # Accepted connections inherit this.  Without it, the second packet of an answer waits 40 ms for the acknowledgement
    # of the first; uvloop sets it by itself.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


class Accepting:
    """Accepts TLS connections from the running event loop until it is closed.  Uvicorn uses it as its server."""

    def __init__(self, listening: socket.socket, answer: Answer, *, most: int, patience: float) -> None:
        """`most`: connections that are answered at a time.  `patience`: seconds for the ClientHello to come."""
        self.sockets, self._answer, self._most, self._patience = [listening], answer, most, patience
        self._loop, self._turns = asyncio.get_running_loop(), Turns(HANDSHAKES_IN_A_PASS)
        self._silent: dict[socket.socket, tuple[str, asyncio.TimerHandle]] = {}
        self._answered: dict[asyncio.Task[object], str] = {}
        listening.settimeout(0)
        self._accepting = self._loop.create_task(self._accept(listening))

    def close(self) -> None:
        """Stop listening, and close the connections that are not answered yet."""
        self._accepting.cancel()
        for listening in self.sockets:
            listening.close()
        for connection in [*self._silent]:
            self._drop(connection)
        for task in [*self._answered]:
            self._end(task)

    async def wait_closed(self) -> None:
        """Return at once: `close` leaves nothing to wait for."""

    async def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, address = await self._loop.sock_accept(listening)
                self._take(connection, address[0])
                await asyncio.sleep(0)  # let the other tasks of this process run before the next one
            except OSError:  # for example, no descriptor is left
                await asyncio.sleep(SECONDS_WITHOUT_DESCRIPTORS)

    def _take(self, connection: socket.socket, address: str) -> None:
        if len(self._silent) >= MOST_SILENT:  # control: silent-connections-bounded
            self._drop(_oldest([(one, holder) for one, (holder, _) in self._silent.items()]))
        self._silent[connection] = (address, self._loop.call_later(self._patience, self._drop, connection))
        self._loop.add_reader(connection, self._on_readable, connection)

    def _drop(self, connection: socket.socket) -> None:
        self._leave_silent(connection)
        connection.close()

    def _leave_silent(self, connection: socket.socket) -> str:
        address, timer = self._silent.pop(connection)
        timer.cancel()
        self._loop.remove_reader(connection)
        return address

    def _on_readable(self, connection: socket.socket) -> None:
        try:
            whole = _hello_is_whole(connection)
        except OSError:  # it has ended, or sends something else: no other connection makes room for it
            self._drop(connection)
            return
        if not whole:
            return
        address = self._leave_silent(connection)
        if len(self._answered) >= self._most:  # control: handshakes-bounded
            self._end(_oldest([*self._answered.items()]))  # control: oldest-handshake-ends
        task = self._loop.create_task(self._answer_in_turn(connection))
        self._answered[task] = address
        task.add_done_callback(lambda done: self._on_end(done, connection))

    async def _answer_in_turn(self, connection: socket.socket) -> None:
        await self._turns.wait()
        await self._answer(connection)

    def _end(self, task: asyncio.Task[object]) -> None:
        del self._answered[task]  # at once, so that the next connection to make room is another
        task.cancel()

    def _on_end(self, task: asyncio.Task[object], connection: socket.socket) -> None:
        self._answered.pop(task, None)
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error:  # otherwise the answer owns the connection
            connection.close()
        if error and not isinstance(error, OSError):
            log.error("a connection was not answered", exc_info=error)


def _hello_is_whole(connection: socket.socket) -> bool:
    """Return whether the first TLS record has come (RFC 8446 section 5.1).  If not, wake us when it has.

    Raises `OSError` if the connection has ended, or begins with something other than a handshake.
    """
    head = connection.recv(_RECORD_HEAD, socket.MSG_PEEK)
    needed = _RECORD_HEAD + (int.from_bytes(head[3:]) if len(head) == _RECORD_HEAD else 0)
    came = len(connection.recv(needed, socket.MSG_PEEK))
    waited_for = connection.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)
    if came < waited_for or head[:1] != _HANDSHAKE or needed > _RECORD_HEAD + LONGEST_HELLO:
        raise OSError("no handshake")
    # The kernel wakes us when so many bytes are there, or when the connection ends.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1 if came == needed else needed)
    return came == needed


def _oldest(held: Sequence[tuple[Held, str]]) -> Held:
    """Return the oldest of those from the address that holds most."""
    [(crowd, _)] = Counter(address for _, address in held).most_common(1)
    return next(one for one, address in held if address == crowd)
