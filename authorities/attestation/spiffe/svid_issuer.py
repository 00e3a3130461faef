"""Signs with the trust domain's keys: one signs JWT-SVIDs, one is the CA's."""

import base64
import datetime as dt
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import ECAlgorithm

from authorities.attestation.process.closed import check_closed
from authorities.attestation.spiffe.certificates import DAYS, Key, new_ca, new_key
from zerotrust.registry.model import Registry
from zerotrust.spiffe.svid import Svid

ALGORITHM = "ES256"
NODE = "local"
"""The node of a verifier whose identity is by this CA: the one machine that there is."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The private keys of a trust domain, each with its name."""

    jwt: Key
    jwt_name: str
    ca: Key
    ca_name: str

    @classmethod
    def new(cls) -> Self:
        """Make keys with new names.

        A reader that meets an unknown name fetches the bundle again.  If an older CA of the same name is trusted as
        well, Java tries that one's key and fails.
        """
        return cls(new_key(), secrets.token_hex(8), new_key(), f"trust domain CA {secrets.token_hex(8)}")


class Issuer:
    """Signs for one trust domain."""

    def __init__(self, trust_domain: str, keys: Keys | None = None) -> None:
        """Without `keys`, it makes new keys.  The CA's certificate is always new."""
        keys = keys or Keys.new()
        self.trust_domain_id = f"spiffe://{trust_domain}"
        self._key, self._key_id = keys.jwt, keys.jwt_name
        self._ca = new_ca(keys.ca, keys.ca_name, self.trust_domain_id, dt.datetime.now(dt.UTC))

    @property
    def ca_pem(self) -> bytes:
        return self._ca.certificate.public_bytes(Encoding.PEM)

    @property
    def ca_der(self) -> bytes:
        return self._ca.certificate.public_bytes(Encoding.DER)

    def x509_svid(self, spiffe_id: str, *dns_names: str, now: dt.datetime, life: int) -> tuple[bytes, bytes]:
        """Return a new key (PKCS#8) and its certificate (SPIFFE X509-SVID), both in DER.

        `life` is in seconds from `now`.
        """
        key = new_key()
        certificate = self._ca.workload(key.public_key(), spiffe_id, dns_names, now, life)
        return _private(key, Encoding.DER), certificate.public_bytes(Encoding.DER)

    def server_certificate(self, *dns_names: str) -> tuple[bytes, bytes]:
        """Return a new key and its certificate for `DAYS`, both in PEM, for a server that no SPIFFE client calls."""
        key = new_key()
        certificate = self._ca.server(key.public_key(), dns_names, dt.datetime.now(dt.UTC), DAYS * 86400)
        return _private(key, Encoding.PEM), certificate.public_bytes(Encoding.PEM)

    def jwt_svid(self, spiffe_id: str, audience: Sequence[str], *, now: int, life: int) -> str:
        """Return a signed JWT-SVID (SPIFFE JWT-SVID sections 2 and 3).

        `now` is in seconds since 1970, `life` in seconds.
        """
        claims = {
            "sub": spiffe_id,
            "aud": list(audience),
            "iat": now,
            "exp": now + life,
            "jti": secrets.token_urlsafe(16),
        }
        return jwt.encode(claims, self._key, ALGORITHM, headers={"kid": self._key_id, "typ": "JWT"})

    def bundle(self) -> bytes:
        """Return both public keys as a SPIFFE bundle, a JWK set (SPIFFE Trust Domain and Bundle section 4).

        It omits the recommended `spiffe_refresh_hint`.  Keycloak 26.7.5 reads a hint as an expiry that has passed,
        fetches the keys for nearly every request, and refuses valid SVIDs while this endpoint is down.
        """
        ca_key = ECAlgorithm.to_jwk(self._ca.key.public_key(), as_dict=True)
        x509_key = {**ca_key, "use": "x509-svid", "x5c": [base64.b64encode(self.ca_der).decode()]}
        return json.dumps({"keys": [x509_key, self._jwt_key()]}).encode()

    def _jwt_key(self) -> dict[str, Any]:
        key = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {**key, "kid": self._key_id, "use": "jwt-svid", "alg": ALGORITHM}


def issuer_of_closed_process(trust_domain: str, keys: Callable[[], Keys] = Keys.new) -> Issuer:
    """Get the keys of a trust domain, if no other process can read them here.  Raises `NotClosedError` otherwise."""
    check_closed()  # control: issuer-in-closed-process
    return Issuer(trust_domain, keys())


def own_svid(registry: Registry, issuer: Issuer) -> Svid:
    """Return a new X.509-SVID of attestation itself, with the lifetime of all others."""
    own, life = registry.authorities.attestation, registry.freshness.x509_svid
    names = registry.dns_name(own), f"{NODE}.{registry.dns_name(own)}"
    new = issuer.x509_svid(registry.id(own), *names, now=dt.datetime.now(dt.UTC), life=life)
    return Svid.from_der(*new, [issuer.ca_der])


def _private(key: Key, encoding: Encoding) -> bytes:
    return key.private_bytes(encoding, PrivateFormat.PKCS8, NoEncryption())
