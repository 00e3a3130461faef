"""The trust domain's keys in a test's own hands: what attestation gives only to code that it launched.

The issuer and the bundle endpoint are the real ones.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from authorities.attestation.spiffe.bundle import BundleServer, tls_context
from authorities.attestation.spiffe.svid_issuer import Issuer
from tests.support.ca import ATTESTATION_PARTY
from tests.support.system import deployment
from zerotrust.registry.model import Registry


class TrustDomain:
    """Makes JWT-SVIDs for any party, also such as nobody should believe."""

    def __init__(self, registry: Registry, issuer: Issuer | None = None) -> None:
        self._registry = registry
        self._issuer = issuer or Issuer(registry.trust_domain)
        self.name = registry.trust_domain

    def assertion(self, party: str, audience: str, *, age: int = 0, life: int | None = None) -> str:
        """Return a JWT-SVID.  `age` is the time since it was made, `life` from then to its end, in seconds."""
        life = life or self._registry.freshness.svid
        spiffe_id = f"{self._issuer.trust_domain_id}/{party}"
        return self._issuer.jwt_svid(spiffe_id, [audience], now=int(time.time()) - age, life=life)

    @asynccontextmanager
    async def served(self, ca_file: Path) -> AsyncIterator[None]:
        """Serve the keys where the realm looks for them; `ca_file` will hold the trust domain's CA."""
        name = self._registry.dns_name(ATTESTATION_PARTY)
        certificate = self._issuer.server_certificate(name)
        port = deployment().parties[ATTESTATION_PARTY].port
        server = BundleServer(self._issuer.bundle(), port, tls_context(*certificate))
        ca_file.write_bytes(self._issuer.ca_pem)
        try:
            yield
        finally:
            server.close()
