"""A TCP relay between two parties that can fail.  It sees only ciphertext."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal, get_args

Break = Literal["cut", "dead", "lags"]
"""Connections are aborted; data is dropped without notice; data is delayed more and more."""
BREAKS: tuple[Break, ...] = get_args(Break)

LAG = 2
"""Seconds that a relay that lags takes for a second of traffic."""
HOST = "127.0.0.1"


class Relay:
    """Forwards the connections to its own port."""

    def __init__(self, port: int) -> None:
        """`port` is the one to forward to."""
        self._to, self.port = port, 0
        self._how: Break | None = None
        self._since = 0.0
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen for a block."""
        server = await asyncio.start_server(self._accept, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for _ in range(3):  # accepted connections get their tasks
                await asyncio.sleep(0)
            self._abort()
            await asyncio.gather(*self._open, return_exceptions=True)

    @asynccontextmanager
    async def failing(self, how: Break) -> AsyncIterator[None]:
        """Fail in this way for a block; connections that begin afterwards work."""
        self._how, self._since = how, asyncio.get_running_loop().time()
        if how == "cut":
            self._abort()
        try:
            yield
        finally:
            self._how = None
            if how == "lags":
                self._abort()

    def _abort(self) -> None:
        for task, writer in self._open.items():
            task.cancel()
            writer.transport.abort()  # a cancelled task that has not begun does not run

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer))
        self._open[task] = writer
        task.add_done_callback(self._open.pop)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends, ways = [writer], list[asyncio.Task[None]]()
        try:
            if self._how != "cut":
                there, back = await asyncio.open_connection(HOST, self._to)
                ends.append(back)
                ways += [asyncio.create_task(self._pass(reader, back)), asyncio.create_task(self._pass(there, writer))]
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except OSError:
            pass  # nothing listens there; the client sees its connection aborted
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in ends:
                end.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lost, loop = False, asyncio.get_running_loop()

        def deliver(part: bytes) -> None:
            if not writer.is_closing():
                writer.write(part)

        with suppress(OSError):
            while part := await reader.read(1 << 16):
                lost = lost or self._how == "dead"
                if lost:  # after lost data, the rest of the stream is useless
                    continue
                if self._how == "lags":
                    loop.call_at(self._since + (loop.time() - self._since) * LAG, deliver, part)
                else:
                    deliver(part)
                    await writer.drain()
