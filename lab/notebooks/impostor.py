"""A program that listens where a party should be, and keeps every byte that it gets."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from lab.before.real import Real
from lab.notebooks.temporary import moving, reload
from start.manual_steps import REQUEST
from start.system import HOST, System
from zerotrust.spiffe.svid import Svid
from zerotrust.spiffe.tls import server_context

MOST = 64 * 1024
"""Bytes that are kept of a connection: far more than a handshake and a request have."""
UNREACHED = ("peer_unavailable", "agent/reader: could not be reached")
"""Answers to alice if the orchestrator cannot fetch the reader's card, and if it has just checked that."""
_GREETING = re.compile(rb"\x16\x03[\x01-\x03]..\x01", re.DOTALL)
"""How a TLS connection begins (RFC 8446 sections 4.1.2 and 5.1): a record of the handshake, with a ClientHello."""
_TOKEN = re.compile(rb"eyJ|bearer|authorization", re.IGNORECASE)


@dataclass
class Received:
    """All bytes that came in."""

    connections: int = 0
    sent: bytes = b""
    """As it came over the network."""
    read: bytes = b""
    """The bytes that the program could read after a handshake."""

    def __str__(self) -> str:
        """Return what this is, as far as its receiver can tell.  Pure."""
        if not self.connections:
            return "no connection"
        what = "a TLS greeting" if _GREETING.match(self.sent) else "no TLS"
        token = "with" if _TOKEN.search(self.sent + self.read) else "without"
        return f"{what}, {token} a token, and {len(self.read)} bytes of a request"


@asynccontextmanager
async def listening(context: ssl.SSLContext | None) -> AsyncIterator[tuple[int, Received]]:
    """Listen at a free port of this machine for a block; yield the port, and what comes in.

    With a context of a server, it does its part of the handshake.  Without one, it hangs up after the first bytes.
    """
    received = Received()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.connections += 1
        try:
            await (_handshake(context, reader, writer, received) if context else _receive(reader, received))
        except (ssl.SSLError, OSError):
            pass  # the caller has hung up, which is what it should do
        finally:
            writer.transport.abort()

    async with await asyncio.start_server(connected, HOST, 0) as serving:
        yield serving.sockets[0].getsockname()[1], received


async def take_the_readers_place(system: System, real: Real, svid: Svid | None) -> None:
    """Have a program listen where the reader should, and alice ask for a task; print what the two of them get."""
    context = server_context(svid, certificate_needed=False) if svid else None
    alice, impatient = await real.sign_in("alice"), replace(real, patience=0)
    async with (
        listening(context) as (port, received),
        moving(system, "agent/reader", port) as olga,
    ):
        await reload(olga)
        while not received.connections:
            said = (await impatient.task(alice.credentials, REQUEST)).said
    print("the program received:", received)
    print("alice sees:", "the reader cannot be reached" if said in UNREACHED else said)


async def _receive(reader: asyncio.StreamReader, received: Received) -> bytes:
    data = await reader.read(MOST - len(received.sent))
    received.sent += data
    return data


async def _handshake(
    context: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, received: Received
) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls: Any = context.wrap_bio(incoming, outgoing, server_side=True)
    shaken = False
    while data := await _receive(reader, received):
        incoming.write(data)
        try:
            if not shaken:
                tls.do_handshake()
                tls.watch(writer.transport.abort)
                shaken = True
            while text := tls.read(MOST - len(received.read)):
                received.read += text
        except ssl.SSLWantReadError:
            pass
        finally:
            writer.write(outgoing.read())
            await writer.drain()
