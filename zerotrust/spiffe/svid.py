"""Reads X.509-SVIDs: this process's own, and those of peers (X509-SVID sections 2 to 5).  Pure."""

import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from zerotrust.errors import ZeroTrustError

LONGEST_X509_SVID = 120
"""Seconds from issue to end.  `freshness` in registry.yaml can only be shorter."""
LONGEST_JWT_SVID = 60
"""The same for a JWT-SVID, whose thief can authenticate as its party at Keycloak."""
SECONDS_BACK = 5
"""Seconds by which notBefore lies before the time of issue, to tolerate clock differences."""
LONGEST_CERTIFICATE = LONGEST_X509_SVID + SECONDS_BACK
"""Seconds from notBefore to notAfter; no certificate with a longer lifetime is accepted."""

SPIFFE_ID = re.compile(r"spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)+")


class NotAnSvid(ZeroTrustError, ValueError):
    """A certificate does not contain exactly one SPIFFE ID, or is not acceptable as an SVID."""


class WorkloadError(ZeroTrustError):
    """No identity was issued to this process, or the Workload API is unavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Svid:
    """This process's own short-lived identity: certificate, key and trust bundle."""

    id: str
    certificate: x509.Certificate
    key: EllipticCurvePrivateKey = field(repr=False)
    bundle: tuple[x509.Certificate, ...]
    """The trust domain's authorities."""
    intermediates: tuple[x509.Certificate, ...] = ()
    """The certificates between this and an authority, in this order; sent together with it."""

    @classmethod
    def from_der(cls, key: bytes, certificate: bytes, bundle: Iterable[bytes]) -> Self:
        """Read an SVID from DER: its key (PKCS#8), its certificate, and the authorities'.  Raises `ValueError`."""
        private, own = serialization.load_der_private_key(key, None), x509.load_der_x509_certificate(certificate)
        if not isinstance(private, EllipticCurvePrivateKey):
            raise ValueError("a key of another kind")
        return cls(
            id=id_of(own), certificate=own, key=private, bundle=tuple(map(x509.load_der_x509_certificate, bundle))
        )

    @property
    def trust_domain(self) -> str:
        """The name between `spiffe://` and the path."""
        return self.id.removeprefix("spiffe://").partition("/")[0]

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """The certificates that are sent to peers: its own and the intermediates."""
        return self.certificate, *self.intermediates

    @property
    def not_after(self) -> float:
        """When it expires, in seconds since the epoch."""
        return self.certificate.not_valid_after_utc.timestamp()

    @property
    def life(self) -> float:
        """Its lifetime in seconds.  Its authority issues no longer one, and this process accepts no longer one."""
        return life_of(self.certificate)


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a TLS connection."""

    id: str | None
    """Its SPIFFE ID; None where it showed no certificate."""
    until: float
    """When the first of both certificates expires, in seconds since the epoch; the connection ends then."""
    dns_names: tuple[str, ...] = ()
    """The DNS names in its certificate."""


NO_PEER = Peer(None, 0.0)
"""The peer of a connection without TLS: no identity, and expired."""


def id_of(certificate: x509.Certificate) -> str:
    """Return the one SPIFFE ID of a certificate.  Raises `NotAnSvid`."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise NotAnSvid("a certificate without a name") from error
    return _one_id(names.get_values_for_type(x509.UniformResourceIdentifier))


def life_of(certificate: x509.Certificate) -> float:
    """Return the lifetime of a certificate in seconds."""
    return (certificate.not_valid_after_utc - certificate.not_valid_before_utc).total_seconds()


def id_and_validity(shown: Mapping[str, Any]) -> tuple[str, float, float]:
    """Return SPIFFE ID, notBefore and notAfter of a certificate as `SSLObject.getpeercert` returns it.

    Raises `NotAnSvid`.
    """
    names = [value for kind, value in shown.get("subjectAltName", ()) if kind == "URI"]
    begin, end = (float(ssl.cert_time_to_seconds(shown[which])) for which in ("notBefore", "notAfter"))
    return _one_id(names), begin, end


def _one_id(names: list[str]) -> str:
    # With more than one, two readers might choose different ones (X509-SVID section 2).
    if len(names) != 1 or not SPIFFE_ID.fullmatch(names[0]):  # control: one-spiffe-id
        raise NotAnSvid("not exactly one SPIFFE ID")
    return names[0]
