"""What attestation reports to the registry, and as whom."""

import datetime as dt
from collections.abc import AsyncIterator, Mapping

from authorities.attestation.spiffe.svid_issuer import Issuer
from authorities.attestation.verifier.drift import Drift, Log
from zerotrust.registry.model import Registry
from zerotrust.spiffe.svid import Svid


class Source:
    """What is reported to the registry (`verifier/report.py`)."""

    def __init__(self, registry: Registry, issuer: Issuer, drift: Drift, log: Log) -> None:
        self._registry, self._issuer, self._drift, self._log = registry, issuer, drift, log

    def changes(self) -> AsyncIterator[dict[str, str]]:
        """Yield the drifted parties, each with its files, now and at each change."""
        return self._drift.changes()

    def use(self, read_from: Mapping[str, str]) -> None:
        """Do nothing: what the registry reads is in its image, and measured there."""

    def svid(self) -> Svid:
        """Return a new SVID of attestation itself."""
        return own_svid(self._registry, self._issuer)

    def log(self, event: str, **fields: object) -> None:
        """Log an event."""
        self._log(event, **fields)


def own_svid(registry: Registry, issuer: Issuer) -> Svid:
    """Return a new X.509-SVID of attestation itself, with the lifetime of all others."""
    own = registry.authorities.attestation
    new = issuer.x509_svid(
        registry.id(own), registry.dns_name(own), now=dt.datetime.now(dt.UTC), life=registry.freshness.x509_svid
    )
    return Svid.from_der(*new, [issuer.ca_der])
