"""The doors of an attacked system behind real sockets, and somebody who connects to them with any certificate."""

import asyncio
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import orjson
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.attack import DOORS, Target
from tests.support.ca import TRUST_DOMAIN, holder, the_ca
from tests.support.waiting import serving
from zerotrust.hardening.pools import Connections
from zerotrust.hardening.server import server
from zerotrust.registry.model import dns_name
from zerotrust.registry.snapshot import Directory
from zerotrust.spiffe.svid import Svid
from zerotrust.spiffe.tls import server_context

HANG = 20
"""Seconds after which it is no noise of the machine any more."""


def showing(svid: Svid, context: ssl.SSLContext) -> ssl.SSLContext:
    """The context, with this certificate to show: none of our own classes has a say in it."""
    key = svid.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with tempfile.NamedTemporaryFile() as file:
        file.write(key + svid.certificate.public_bytes(Encoding.PEM))
        file.flush()
        context.load_cert_chain(file.name)
    return context


def with_certificate(svid: Svid) -> ssl.SSLContext:
    """What somebody connects with who shows this certificate, whoever issued it."""
    return showing(svid, the_ca().for_users())


def as_server(svid: Svid) -> ssl.SSLContext:
    """What somebody serves with who shows this certificate; it asks callers for none."""
    return showing(svid, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def request(target: Target, party: str, token: str) -> bytes:
    """A good request for a party's door, as it goes over the wire, by whom the token was issued to."""
    door = DOORS[party]
    url = target.system.addresses[party] + door.path
    body = orjson.dumps(door.body)
    presented = target.issuer.headers(token, holder(token, at=party), "POST", url)
    headers = [
        (b"host", b"x"),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        *((name.encode(), value.encode()) for name, value in presented.items()),
        *door.headers,
    ]
    head = b"".join(b"%s: %s\r\n" % header for header in headers)
    return f"POST {door.path} HTTP/1.1\r\n".encode() + head + b"\r\n" + body


@asynccontextmanager
async def served(target: Target, party: str) -> AsyncIterator[int]:
    """Serve a party's door as it is served elsewhere, behind mutual TLS; yield its port."""
    app = target.system.apps[target.system.addresses[party]]
    tls = server_context(the_ca().svid(party), certificate_needed=not target.system.services[party].for_users)
    async with serving(server(_requests_only(app), host="127.0.0.1", port=0, tls=tls)) as port:
        yield port


def _requests_only(app: ASGIApp) -> ASGIApp:
    """The app, which is alive already."""

    async def requests_only(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await app(scope, receive, send)

    return requests_only


async def connected(port: int, party: str, tls: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A new connection to who is expected to be this party."""
    async with asyncio.timeout(HANG):
        return await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=dns_name(party, TRUST_DOMAIN))


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes) -> bytes:
    """Send these bytes; return head and body of the answer, or nothing where the connection ends instead."""
    with suppress(OSError, asyncio.IncompleteReadError):  # `ssl.SSLError` is one, too
        async with asyncio.timeout(HANG):
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            return head + await reader.readexactly(length)
    return b""


async def asked_once(port: int, party: str, tls: ssl.SSLContext, sent: bytes) -> bytes:
    """The same over a connection of its own, which may come to nothing."""
    with suppress(OSError):
        reader, writer = await connected(port, party, tls)
        try:
            return await asked(reader, writer, sent)
        finally:
            writer.close()
    return b""


@asynccontextmanager
async def rogue(tls: ssl.SSLContext) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Somebody who serves with that context in a party's place; yield the port, and all that is said to them."""
    heard: list[bytes] = []
    tls.sslobject_class = ssl.SSLObject  # the server is not of our make

    async def apply_event(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while said := await reader.read(65536):
                heard.append(said)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        writer.close()

    async with await asyncio.start_server(apply_event, "127.0.0.1", 0, ssl=tls) as listening:
        yield listening.sockets[0].getsockname()[1], heard


async def told_in_place_of_the_reader(target: Target, tls: ssl.SSLContext, mine: Svid) -> bytes:
    """Return what somebody who serves with that context gets to hear in the reader's place, from the party `mine`."""
    async with rogue(tls) as (port, heard):
        origin, name = f"https://127.0.0.1:{port}", dns_name("agent/reader", TRUST_DOMAIN)
        calls = Connections(Directory({origin: name}, {name: target.issuer.registry.id("agent/reader")}), mine)
        async with httpx.AsyncClient(transport=calls, timeout=20) as http:
            bearer = {"authorization": f"Bearer {target.token('agent/reader')}"}
            with suppress(httpx.HTTPError):
                await http.post(f"{origin}/a2a", json=dict(DOORS["agent/reader"].body), headers=bearer)
    return b"".join(heard)
