"""Serves the trust bundle over HTTPS, for Keycloak: SPIFFE Federation section 5.2.1, profile `https_web`.

Every process of this machine can connect.  Therefore the number of connections at a time is limited, and each gets one
answer (`zerotrust/hardening/accepting.py`).
"""

import asyncio
import contextlib
import os
import socket
import ssl

from zerotrust.hardening.accepting import Accepting, listen

PATH = "/bundle"

MOST_ANSWERED = 64
"""Connections that are answered at a time, 16 MiB in all."""
MOST_OF_A_REQUEST = 4096
"""Bytes; Keycloak sends about 200."""
SECONDS_FOR_A_REQUEST = 5
"""The limit from the ClientHello to the end of the connection, and also the limit until the ClientHello."""


def tls_context(key: bytes, certificate: bytes) -> ssl.SSLContext:
    """Return a TLS server's context with this key and certificate, both in PEM.  The key is never on the disk."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # a client sends one request only
    # `ssl` loads keys from files only: this file is in memory, and exists only while it is open.
    with os.fdopen(os.memfd_create("bundle"), "wb") as file:
        file.write(key + certificate)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
    return context


class BundleServer:
    """Serves a bundle at `PATH`, from the running event loop, until it is closed."""

    def __init__(self, bundle: bytes, port: int, tls: ssl.SSLContext, *, host: str = "127.0.0.1") -> None:
        """Listen on `host`; `port` 0 takes any free port.  Raises `OSError` if the port is not available."""
        self._bundle, self._tls, self._loop = bundle, tls, asyncio.get_running_loop()
        self._accepting = Accepting(
            listen(host, port), self._answer, most=MOST_ANSWERED, patience=SECONDS_FOR_A_REQUEST
        )
        self.port = int(self._accepting.sockets[0].getsockname()[1])
        """The port that it listens on."""
        self.close = self._accepting.close
        """Stop listening, and close all connections."""

    async def _answer(self, connection: socket.socket) -> None:
        reader = asyncio.StreamReader(limit=MOST_OF_A_REQUEST)
        protocol = asyncio.StreamReaderProtocol(reader)
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError):  # not a request
            async with asyncio.timeout(SECONDS_FOR_A_REQUEST):
                transport, _ = await self._loop.connect_accepted_socket(lambda: protocol, connection, ssl=self._tls)
                writer = asyncio.StreamWriter(transport, protocol, reader, self._loop)
                try:
                    await self._respond(reader, writer)
                finally:
                    transport.abort()  # does not wait for the peer's close_notify

    async def _respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        found = head.startswith(f"GET {PATH} HTTP/1.".encode())
        status, body = (b"200 OK", self._bundle) if found else (b"404 Not Found", b"")
        writer.write(
            b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
            % (status, len(body), body)
        )
        writer.close()
        await writer.wait_closed()
