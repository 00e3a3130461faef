"""A trust domain's certificate authority for tests: it issues valid and invalid certificates for any party.

ca = CA("test.example")
ca.svid("agent/quotes")                   # valid
ca.svid("agent/quotes", left=-1)          # expired
CA("test.example").svid("agent/quotes")   # of another authority
"""

import datetime as dt
import ssl
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from zerotrust.registry.model import dns_name
from zerotrust.spiffe.svid import Svid

LONG = 3605
"""The lifetime in seconds of a certificate that outlives any test.  No verifier accepts a longer one than its own."""


class CA:
    """Issues X.509-SVIDs."""

    def __init__(
        self, trust_domain: str, *, above: "CA | None" = None, path_length: int = 0, renews: "CA | None" = None
    ) -> None:
        """`above`: the issuer, if this authority is an intermediate; `path_length`: the intermediates that it may have.

        `renews`: the same authority, with an earlier certificate.
        """
        self.trust_domain, self.above = trust_domain, above
        self.key: ec.EllipticCurvePrivateKey = renews.key if renews else ec.generate_private_key(ec.SECP256R1())
        name = f"{trust_domain} {x509.random_serial_number()}"
        self.name: x509.Name = renews.name if renews else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now, issuer = dt.datetime.now(dt.UTC), above or self
        self.certificate = (
            _builder(self.name, issuer.name, self.key, now - dt.timedelta(hours=1), now + dt.timedelta(hours=9))
            .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
            .sign(issuer.key, hashes.SHA256())
        )
        self.chain: tuple[x509.Certificate, ...] = (self.certificate, *above.chain) if above else ()
        """The intermediates that are sent with each certificate that it issues."""
        self.bundle: tuple[x509.Certificate, ...] = above.bundle if above else (self.certificate,)

    def svid(  # noqa: PLR0913 - everything that may be invalid in one
        self,
        party: str,
        *,
        age: float = 0,
        life: float = LONG - 5,
        left: float | None = None,
        ids: Sequence[str] | None = None,
        dns: str | None = None,
        signs: bool | None = True,
        is_ca: bool = False,
        usages: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
        trusts: Sequence["CA"] = (),
        key: Any = None,
    ) -> Svid:
        """Return an SVID that was issued `age` seconds ago for `life` seconds; by default, it outlives any test.

        `left`: the seconds until it expires, instead of `age`.  `key`: a key of another type.  `signs`: whether its key
        signs data; if not, it signs certificates; None: neither.  `trusts`: the authorities of its bundle.
        """
        age = age if left is None else life - left
        ids = [f"spiffe://{self.trust_domain}/{party}"] if ids is None else ids
        key, begin = key or ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC) - dt.timedelta(seconds=age)
        names = [*map(x509.UniformResourceIdentifier, ids), x509.DNSName(dns or dns_name(party, self.trust_domain))]
        certificate = (
            _builder(x509.Name([]), self.name, key, begin - dt.timedelta(seconds=5), begin + dt.timedelta(seconds=life))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(_usage(signs=signs), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        bundle = tuple(one for ca in trusts or [self] for one in ca.bundle)
        return Svid(id=(ids or [""])[0], certificate=certificate, key=key, bundle=bundle, intermediates=self.chain)

    def for_users(self) -> ssl.SSLContext:
        """Return the TLS context of a user's client, which has no certificate of its own."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.pem)
        return context

    @property
    def pem(self) -> str:
        """The authority's certificate, in PEM."""
        return ssl.DER_cert_to_PEM_cert(self.certificate.public_bytes(serialization.Encoding.DER))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begin: dt.datetime, end: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs: bool | None) -> x509.KeyUsage:
    none_of = "content_commitment key_encipherment data_encipherment key_agreement encipher_only decipher_only"
    others, certifies = dict.fromkeys(none_of.split(), False), signs is False
    return x509.KeyUsage(digital_signature=bool(signs), key_cert_sign=certifies, crl_sign=certifies, **others)
