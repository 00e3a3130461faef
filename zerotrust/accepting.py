"""Takes connections in, so that strangers who only begin one cost little and delay nobody.

A TLS connection costs a millisecond of the event loop and 260 KiB, before it is known who has come.  So a connection is
a mere descriptor until its first byte has come, few are answered at a time, and one is accepted in each pass of the
event loop: whatever else this process has to do has its turn in between.  Where there are too many, the newest takes
the place of the oldest: an honest caller says something as soon as it is connected, and goes on as soon as it is
answered, so whoever waits makes room for it.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any

MOST_SILENT = 512
"""Connections that have not said anything yet."""
MOST_ANSWERED = 64
"""Connections that are being answered; at a service, those in a handshake."""
MOST_WAITING = 4096
"""Connections that the kernel holds until they are accepted, for a second at most; Linux allows no more by default."""
SECONDS_WITHOUT_DESCRIPTORS = 0.1

Answer = Callable[[socket.socket], Coroutine[Any, Any, object]]
"""Takes over a connection whose first byte has come, and ends by itself.  An `OSError` is the caller's affair."""

log = logging.getLogger(__name__)


def listen(host: str, port: int) -> socket.socket:
    """Listen at this address; `port` 0 takes any that is free.  Raises `OSError` where the port cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=MOST_WAITING)


class Accepting:
    """Accepts TLS connections from the running event loop until it is closed.  Used by uvicorn as its server."""

    def __init__(self, listening: socket.socket, answer: Answer, *, patience: float) -> None:
        """`patience`: seconds until the first byte."""
        self.sockets, self._answer, self._patience = [listening], answer, patience
        self._loop = asyncio.get_running_loop()
        self._silent: dict[socket.socket, asyncio.TimerHandle] = {}
        self._answered: dict[asyncio.Task[object], None] = {}
        listening.settimeout(0)
        self._accepting = self._loop.create_task(self._accept(listening))

    def close(self) -> None:
        """Stop listening, and end the connections that are not answered yet."""
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
                self._take((await self._loop.sock_accept(listening))[0])
                await asyncio.sleep(0)  # whoever else lives in this process has a turn before the next one
            except OSError:  # no descriptor left, for one
                await asyncio.sleep(SECONDS_WITHOUT_DESCRIPTORS)

    def _take(self, connection: socket.socket) -> None:
        if len(self._silent) >= MOST_SILENT:
            self._drop(next(iter(self._silent)))
        self._silent[connection] = self._loop.call_later(self._patience, self._drop, connection)
        self._loop.add_reader(connection, self._speaks, connection)

    def _drop(self, connection: socket.socket) -> None:
        self._leave_silent(connection)
        connection.close()

    def _leave_silent(self, connection: socket.socket) -> None:
        self._silent.pop(connection).cancel()
        self._loop.remove_reader(connection)

    def _speaks(self, connection: socket.socket) -> None:
        self._leave_silent(connection)
        if not _begins_tls(connection):  # whatever else comes, many ends at once among it, takes nobody's place
            connection.close()
            return
        if len(self._answered) >= MOST_ANSWERED:
            self._end(next(iter(self._answered)))
        task = self._loop.create_task(self._answer(connection))
        self._answered[task] = None
        task.add_done_callback(lambda done: self._ended(done, connection))

    def _end(self, task: asyncio.Task[object]) -> None:
        del self._answered[task]  # at once, so that the next one to make room is another
        task.cancel()

    def _ended(self, task: asyncio.Task[object], connection: socket.socket) -> None:
        self._answered.pop(task, None)
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error:  # else whoever answered it has it
            connection.close()
        if error and not isinstance(error, OSError):
            log.error("a connection was not answered", exc_info=error)


def _begins_tls(connection: socket.socket) -> bool:
    """Whether the first byte that has come is that of a handshake (RFC 8446 section 5.1)."""
    try:
        return connection.recv(1, socket.MSG_PEEK) == b"\x16"
    except OSError:  # it has ended already
        return False
