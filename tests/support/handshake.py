"""A handshake of two ends without a connection between them."""

import ssl
from contextlib import suppress

from tests.support.ca import TRUST_DOMAIN
from zerotrust.registry.model import dns_name
from zerotrust.spiffe.tls import ExpiringTLS

READER, WRITER = "agent/reader", "agent/writer"
READERS_NAME = dns_name(READER, TRUST_DOMAIN)
PARTIES = {dns_name(party, TRUST_DOMAIN): f"spiffe://{TRUST_DOMAIN}/{party}" for party in (READER, WRITER)}


class Handshake:
    """Both ends of one connection, joined by memory."""

    def __init__(self, server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None = None) -> None:
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = server.wrap_bio(to_server, to_client, server_side=True)
        self.client = client.wrap_bio(to_client, to_server, server_hostname=READERS_NAME, session=session)
        for end in (self.server, self.client):
            if isinstance(end, ExpiringTLS):
                end.watched[end] = end.unwatch  # without an event loop there is nothing to abort

    def done(self) -> "Handshake":
        for end in (self.client, self.server) * 3:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
        self.server.write(b"hello")
        assert self.client.read(100) == b"hello"
        return self
