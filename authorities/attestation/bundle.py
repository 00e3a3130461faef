"""The public keys over HTTPS, for Keycloak: SPIFFE Federation section 5.2.1, profile `https_web`."""

import asyncio
import functools
import os
import ssl

SECONDS_FOR_A_REQUEST = 5


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


async def serve_bundle(bundle: bytes, port: int, tls: ssl.SSLContext) -> asyncio.Server:
    """Serve `bundle` as `https://localhost:<port>/bundle` until the returned server is closed."""
    answer = functools.partial(_answer, bundle)
    return await asyncio.start_server(answer, "127.0.0.1", port, ssl=tls, ssl_handshake_timeout=SECONDS_FOR_A_REQUEST)


async def _answer(bundle: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(SECONDS_FOR_A_REQUEST):
            head = await reader.readuntil(b"\r\n\r\n")
            found = head.startswith(b"GET /bundle HTTP/1.")
            status, body = (b"200 OK", bundle) if found else (b"404 Not Found", b"")
            writer.write(
                b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
                % (status, len(body), body)
            )
            await writer.drain()
    except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
        pass  # not a request, or nobody left to answer
    finally:
        writer.close()
