"""TLS 1.3 records that `ssl` cannot make: KeyUpdate, and data in records of any size (RFC 8446 sections 5.2 and 7)."""

import ssl
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tests.support.ca import TRUST_DOMAIN, the_ca
from zerotrust.registry.model import dns_name
from zerotrust.spiffe.tls import ExpiringTLS, server_context

NAME = "orchestrator"
_HANDSHAKE, _DATA = 22, 23
_KEY_UPDATE = b"\x18\x00\x00\x01\x00"


def _expand(secret: bytes, label: bytes, length: int) -> bytes:
    info = length.to_bytes(2) + bytes([6 + len(label)]) + b"tls13 " + label + b"\0"
    return HKDFExpand(SHA384(), length, info).derive(secret)


class Stranger:
    """A client without a certificate that has made its handshake with a service, and now makes its own records."""

    def __init__(self, folder: Path) -> None:
        """`folder`: for the secret of the connection."""
        self.to_service, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = server_context(the_ca().svid(NAME), certificate_needed=False)
        self.service = service = tls.wrap_bio(self.to_service, back, server_side=True)
        assert isinstance(service, ExpiringTLS)
        service.watched[service] = service.unwatch  # without an event loop there is nothing to abort
        context = the_ca().for_users()
        context.keylog_filename = str(folder / "secrets")
        client = context.wrap_bio(back, self.to_service, server_hostname=dns_name(NAME, TRUST_DOMAIN))
        for one in (client, self.service, client, self.service):
            try:
                one.do_handshake()
            except ssl.SSLWantReadError:
                continue
        assert client.cipher() == ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256)
        told = [line.split() for line in (folder / "secrets").read_text().splitlines()]
        [secret] = [last for first, *_, last in told if first == "CLIENT_TRAFFIC_SECRET_0"]
        self._use(bytes.fromhex(secret))

    def _use(self, secret: bytes) -> None:
        self._secret, self._number = secret, 0
        self._key, self._iv = AESGCM(_expand(secret, b"key", 32)), int.from_bytes(_expand(secret, b"iv", 12))

    def _record(self, kind: int, content: bytes) -> bytes:
        text = content + bytes([kind])
        head = b"\x17\x03\x03" + (len(text) + 16).to_bytes(2)
        nonce = (self._iv ^ self._number).to_bytes(12)
        self._number += 1
        return head + self._key.encrypt(nonce, text, head)

    def data(self, content: bytes) -> bytes:
        """A record with data."""
        return self._record(_DATA, content)

    def key_updates(self, count: int) -> bytes:
        """So many records, each of which replaces the key."""
        made = []
        for _ in range(count):
            made.append(self._record(_HANDSHAKE, _KEY_UPDATE))
            self._use(_expand(self._secret, b"traffic upd", 48))
        return b"".join(made)

    def read(self) -> bytes:
        """What the service reads of all that was written."""
        got = b""
        while self.to_service.pending:
            try:
                got += self.service.read(1 << 18)
            except ssl.SSLWantReadError:
                break
        return got
