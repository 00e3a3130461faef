"""A server that is no party: it has a key of its own, and a certificate that nobody else vouches for."""

import asyncio
import datetime as dt
import hashlib
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from zerotrust.registry.model import Registry
from zerotrust.registry.snapshot import OutsideServer, RegistrySnapshot

NAME = "llama"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"


class Server:
    """Its key and certificate, and the pin that follows from the key."""

    def __init__(self, *, begins: float = -60, ends: float = 3600) -> None:
        """`begins` and `ends`: of its certificate, in seconds from now."""
        self.key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a model")])
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + dt.timedelta(seconds=begins))
            .not_valid_after(now + dt.timedelta(seconds=ends))
            .sign(self.key, hashes.SHA256())
        )
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        self.pin = hashlib.sha256(self.key.public_key().public_bytes(serialization.Encoding.DER, form)).hexdigest()

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        key = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with tempfile.NamedTemporaryFile() as file:
            file.write(key + self.certificate.public_bytes(serialization.Encoding.PEM))
            file.flush()
            context.load_cert_chain(Path(file.name))
        return context


def with_server(registry: Registry, pin: str, *, reached_by: str = "inference") -> Registry:
    """The registry, and a server outside that one party reaches, and that takes no tokens."""
    raw = registry.model_dump()
    outside = raw["outside"] | {NAME: {"reached_by": reached_by, "spki_sha256": pin}}
    return Registry.model_validate(raw | {"outside": outside})


def snapshot_of(registry: Registry, pin: str, origin: str, *names: str) -> RegistrySnapshot:
    """The registry's word on outside servers of these names, all at this origin with this key."""
    servers = dict.fromkeys(names or [NAME], OutsideServer(origin=origin, spki_sha256=pin))
    return RegistrySnapshot(registry=with_server(registry, pin), addresses={}, outside=servers, approved={})


@asynccontextmanager
async def answering(
    tls: ssl.SSLContext, answer: bytes = ANSWER
) -> AsyncIterator[tuple[str, list[bytes], list[object]]]:
    """Somebody who answers with this; gives the origin, what was heard, and the certificates that callers showed."""
    heard: list[bytes] = []
    shown: list[object] = []
    tls.sslobject_class = ssl.SSLObject  # the server is not of our make

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            shown.append(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
            writer.write(answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls) as server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", heard, shown
