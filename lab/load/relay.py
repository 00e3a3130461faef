"""A wire between two parties that can be cut, go dead, or lag.  It sees nothing but ciphertext."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal, get_args

Break = Literal["cut", "dead", "lags"]
"""Connections are aborted; nothing comes through, and nobody is told; everything comes through, ever later."""
BREAKS: tuple[Break, ...] = get_args(Break)

LAG = 2
"""Seconds that a second takes to come through a wire that lags."""
HOST = "127.0.0.1"


class Relay:
    """Passes on what comes to its own port."""

    def __init__(self, port: int) -> None:
        """`port` is where the other end listens."""
        self._to, self.port = port, 0
        self._how: Break | None = None
        self._since = 0.0
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Listen."""
        server = await asyncio.start_server(self._accept, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for _ in range(3):  # what has been accepted already gets as far as a task
                await asyncio.sleep(0)
            self._abort()
            await asyncio.gather(*self._open, return_exceptions=True)

    @asynccontextmanager
    async def broken(self, how: Break) -> AsyncIterator[None]:
        """Be broken in this way; whole again afterwards, for what begins then."""
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
            writer.transport.abort()  # a task that has not begun does nothing more

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
            pass  # nobody is there; whoever has come is told by what follows
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
                if lost:  # what was lost does not come later, and so nothing after it makes sense
                    continue
                if self._how == "lags":
                    loop.call_at(self._since + (loop.time() - self._since) * LAG, deliver, part)
                else:
                    deliver(part)
                    await writer.drain()
