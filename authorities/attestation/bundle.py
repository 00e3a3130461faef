"""The public keys over HTTPS, for Keycloak: SPIFFE Federation section 5.2.1, profile `https_web`.

Every process of this machine can connect here, and asyncio keeps 260 KiB for a connection with TLS.  So a connection
is a mere descriptor until its first byte has come, and few are answered at once.  Where there are more, the newest
takes the place of the oldest: Keycloak says something as soon as it is connected, so whoever waits makes room for it.
"""

import asyncio
import contextlib
import os
import socket
import ssl

MOST_SILENT = 512
"""Connections that have not said anything yet."""
MOST_ANSWERED = 64
"""Connections with TLS, 16 MiB in all."""
MOST_WAITING = 4096
"""Connections that the kernel holds until they are accepted, for a second at most; Linux allows no more by default."""
MOST_OF_A_REQUEST = 4096
"""Bytes; Keycloak sends about 200."""
SECONDS_FOR_A_REQUEST = 5
"""From the first byte to the end of the connection; and until the first byte."""
SECONDS_WITHOUT_DESCRIPTORS = 0.1


def tls_context(key: bytes, certificate: bytes) -> ssl.SSLContext:
    """Return a TLS server's context with this key and certificate, both in PEM. The key does not touch the disk."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # one request is all that anybody has
    # `ssl` loads keys from files only: this one lives in memory, and only while it is open.
    with os.fdopen(os.memfd_create("bundle"), "wb") as file:
        file.write(key + certificate)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
    return context


class BundleServer:
    """Serves a bundle as `https://localhost:<port>/bundle`, from the running event loop, until it is closed."""

    def __init__(self, bundle: bytes, port: int, tls: ssl.SSLContext) -> None:
        """`port` 0 takes any that is free.  Raises `OSError` where the port cannot be had."""
        self._bundle, self._tls, self._loop = bundle, tls, asyncio.get_running_loop()
        self._silent: dict[socket.socket, asyncio.TimerHandle] = {}
        self._answered: dict[asyncio.Task[None], None] = {}
        self._listening = socket.create_server(("127.0.0.1", port), backlog=MOST_WAITING)
        self._listening.settimeout(0)
        self._accepting = self._loop.create_task(self._accept())

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listening.getsockname()[1])

    def close(self) -> None:
        """Stop listening, and end all connections."""
        self._accepting.cancel()
        self._listening.close()
        for connection in [*self._silent]:
            self._drop(connection)
        for task in [*self._answered]:
            self._end(task)

    async def _accept(self) -> None:
        while True:
            try:
                self._take((await self._loop.sock_accept(self._listening))[0])
                await asyncio.sleep(0)  # whoever else lives in this process has a turn before the next one
            except OSError:  # no descriptor left, for one
                await asyncio.sleep(SECONDS_WITHOUT_DESCRIPTORS)

    def _take(self, connection: socket.socket) -> None:
        if len(self._silent) >= MOST_SILENT:
            self._drop(next(iter(self._silent)))
        self._silent[connection] = self._loop.call_later(SECONDS_FOR_A_REQUEST, self._drop, connection)
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
        task.add_done_callback(lambda done: self._answered.pop(done, None))
        task.add_done_callback(lambda _: connection.close())  # also where it was ended before it began

    def _end(self, task: asyncio.Task[None]) -> None:
        del self._answered[task]  # at once, so that the next one to make room is another
        task.cancel()

    async def _answer(self, connection: socket.socket) -> None:
        reader = asyncio.StreamReader(limit=MOST_OF_A_REQUEST)
        protocol = asyncio.StreamReaderProtocol(reader)
        # Not a request, not TLS, too late, or nobody left to answer.
        with contextlib.suppress(TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            async with asyncio.timeout(SECONDS_FOR_A_REQUEST):
                transport, _ = await self._loop.connect_accepted_socket(lambda: protocol, connection, ssl=self._tls)
                writer = asyncio.StreamWriter(transport, protocol, reader, self._loop)
                try:
                    await self._respond(reader, writer)
                finally:
                    transport.abort()  # does not wait for the other end's farewell

    async def _respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        found = head.startswith(b"GET /bundle HTTP/1.")
        status, body = (b"200 OK", self._bundle) if found else (b"404 Not Found", b"")
        writer.write(
            b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
            % (status, len(body), body)
        )
        writer.close()
        await writer.wait_closed()


def _begins_tls(connection: socket.socket) -> bool:
    """Whether the first byte that has come is that of a handshake (RFC 8446 section 5.1)."""
    try:
        return connection.recv(1, socket.MSG_PEEK) == b"\x16"
    except OSError:  # it has ended already
        return False
