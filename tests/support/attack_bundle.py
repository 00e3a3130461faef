"""The door where attestation shows its public keys, as any process of the machine meets it."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from authorities.attestation.spiffe import bundle
from authorities.attestation.spiffe.svid_issuer import Issuer
from tests.support import issuer
from tests.support.attack import Scene
from tests.support.ca import TRUST_DOMAIN
from zerotrust.service import Service

HANG = 60
"""Seconds after which it is no noise of the machine any more."""


def client_hello() -> bytes:
    """What somebody says first who begins a handshake."""
    said = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), said, server_hostname="localhost").do_handshake()
    return said.read()


@dataclass
class KeysDoor(Scene):
    """The server, whoever has connected to it, and what its event loop complained of."""

    server: bundle.BundleServer
    tls: ssl.SSLContext
    complaints: list[str] = field(default_factory=list)

    @property
    def held(self) -> tuple[int, int]:
        """How many silent connections it holds, and how many that have said something."""
        return len(self.server._accepting._silent), len(self.server._accepting._answered)

    @asynccontextmanager
    async def connections(self, number: int, *, saying: bytes = b"") -> AsyncIterator[list[asyncio.StreamReader]]:
        """So many connections that say this and no more."""
        ends = [await asyncio.open_connection("127.0.0.1", self.server.port) for _ in range(number)]
        for _, writer in ends:
            writer.write(saying)
        try:
            yield [reader for reader, _ in ends]
        finally:
            for _, writer in ends:
                writer.transport.abort()

    async def keys(self) -> int:
        """Fetch the keys as Keycloak does; return how many there were, or 0 where the connection came to nothing.

        All that connected before has been accepted when this returns.
        """
        with contextlib.suppress(OSError):
            async with asyncio.timeout(HANG):
                reader, writer = await asyncio.open_connection("localhost", self.server.port, ssl=self.tls)
                writer.write(b"GET /bundle HTTP/1.1\r\nHost: localhost\r\n\r\n")
                answer = await reader.read()
                writer.close()
                return len(json.loads(answer.partition(b"\r\n\r\n")[2] or b'{"keys": []}')["keys"])
        return 0


@asynccontextmanager
async def keys_door(_folder: Path, _issuer: issuer.Issuer, _kind: type[Service]) -> AsyncIterator[KeysDoor]:
    """The door, on some port."""
    authority = Issuer(TRUST_DOMAIN)
    certificate = authority.server_certificate("localhost")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "SECONDS_FOR_A_REQUEST", 10 * HANG)  # what is not about time does not end by it
        async with _served(authority, certificate) as door:
            yield door


@asynccontextmanager
async def _served(authority: Issuer, certificate: tuple[bytes, bytes]) -> AsyncIterator[KeysDoor]:
    server = bundle.BundleServer(authority.bundle(), 0, bundle.tls_context(*certificate))
    door = KeysDoor(server, ssl.create_default_context(cadata=authority.ca_pem.decode()))
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: door.complaints.append(str(context)))
    try:
        yield door
    finally:
        loop.set_exception_handler(None)
        server.close()
        await asyncio.sleep(0)  # what was cancelled ends
