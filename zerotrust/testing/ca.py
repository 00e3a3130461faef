"""A trust domain's authority in a test's own hands: certificates for any party, also such as nobody should believe.

ca = CA("test.example")
ca.svid("agent/quotes")                   # good
ca.svid("agent/quotes", left=-1)          # ended
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
"""Seconds from beginning to end of a certificate that outlives any test; a verifier with such a one believes others."""


class CA:
    """Issues X.509-SVIDs."""

    def __init__(
        self,
        trust_domain: str,
        *,
        above: "CA | None" = None,
        path_length: int = 0,
        renews: "CA | None" = None,
    ) -> None:
        """`above`: the authority that this one is an intermediate of; `path_length`: intermediates that may be below.

        `renews`: the authority that this one is, with another certificate.
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
        """What its leaves bring along."""
        self.bundle: tuple[x509.Certificate, ...] = above.bundle if above else (self.certificate,)

    def svid(  # noqa: PLR0913 - all that may be wrong with one
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
        """An SVID that was made `age` seconds ago for `life` seconds; by default long enough for any test.

        `left` is how many seconds of that life it has left, and `key` one of its own, of whatever kind.  `signs`: for
        signatures, or for certificates, or for neither.  `trusts`: whose authorities are its bundle, if not this one.
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
        """What a user's client trusts; it has no certificate of its own."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.pem)
        return context

    @property
    def pem(self) -> str:
        """The authority's certificate."""
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
    no = dict.fromkeys(
        [
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ],
        False,
    )
    certifies = signs is False
    return x509.KeyUsage(digital_signature=bool(signs), key_cert_sign=certifies, crl_sign=certifies, **no)
