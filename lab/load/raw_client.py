"""An attacker's HTTP client: one TLS connection, raw bytes, and no pool with bounds."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import httpx


class RawClient:
    """One connection to one party, reopened when the party has closed it."""

    def __init__(self, address: str, name: str, tls: ssl.SSLContext) -> None:
        """`address` is where the party listens, `name` the DNS name in its certificate."""
        self._url, self._name, self._tls = httpx.URL(address), name, tls
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self, method: str, path: str, token: Callable[[], Awaitable[str]] | None = None, body: bytes = b""
    ) -> int:
        """Send a request, read the whole answer, and return its status.  Raises `OSError` if there is none."""
        credentials = f"authorization: Bearer {await token()}\r\n" if token else ""
        reader, writer = self._streams = self._streams or await self._open()
        try:
            head = self._head(method, path, len(body), f"{credentials}content-type: application/json\r\n")
            writer.write(head + body)
            await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b"content-length:" in head:
                await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r")[0]))
            if b"connection: close" in head:
                self.close()
        except (OSError, EOFError, ValueError) as error:
            self.close()
            raise OSError(str(error)) from error
        return int(head.split(b" ", 2)[1])

    async def listen(self, path: str) -> int:
        """Request a stream, read it to its end, and return the number of bytes.  Raises `OSError`."""
        reader, writer = self._streams = await self._open()
        try:
            writer.write(self._head("GET", path, 0))
            came = 0
            while chunk := await reader.read(1 << 16):
                came += len(chunk)
            return came
        finally:
            self.close()

    async def drip(self, path: str, seconds: int) -> bytes:
        """Send an incomplete form, one byte a second; return the answer.  Raises `OSError`.

        The answer is empty if the peer waits for all these seconds.
        """
        reader, writer = self._streams = await self._open()
        answer = asyncio.create_task(reader.read(1000))
        try:
            writer.write(self._head("POST", path, seconds + 1, "content-type: application/x-www-form-urlencoded\r\n"))
            for _ in range(seconds):
                writer.write(b"x")
                await writer.drain()
                if (await asyncio.wait([answer], timeout=1))[0]:
                    return await answer
            return b""
        finally:
            answer.cancel()
            self.close()

    async def greet(self) -> str:
        """Connect, and close the connection.  Raises `OSError`."""
        self._streams = await self._open()
        self.close()
        return "connected"

    def close(self) -> None:
        """Close the connection."""
        if self._streams:
            self._streams[1].transport.abort()
        self._streams = None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(
            self._url.host, self._url.port, ssl=self._tls, server_hostname=self._name, ssl_handshake_timeout=30
        )

    def _head(self, method: str, path: str, length: int, more: str = "") -> bytes:
        host = self._url.netloc.decode()
        return f"{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\n{more}\r\n".encode()
