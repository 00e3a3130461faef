"""Certificates of a trust domain (SPIFFE X509-SVID; RFC 5280): the CA's, workloads', and those of other servers.

Pure except for keys and serial numbers, which are random.
"""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from zerotrust.spiffe.svid import SECONDS_BACK

DAYS = 30
"""The life of the CA's certificate, which is made again each time that the authority starts."""

Key = ec.EllipticCurvePrivateKey


def new_key() -> Key:
    """Return a new P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True, slots=True)
class CA:
    """A CA that signs leaf certificates."""

    key: Key
    certificate: x509.Certificate

    def workload(
        self, key: ec.EllipticCurvePublicKey, spiffe_id: str, dns_names: Sequence[str], now: dt.datetime, life: int
    ) -> x509.Certificate:
        """Return a workload's certificate: exactly one URI (X509-SVID section 2), DNS names; client and server.

        `life` is in seconds from `now`; no leaf is valid for longer than its CA.
        """
        names = [x509.UniformResourceIdentifier(spiffe_id), *map(x509.DNSName, dns_names)]
        return self._leaf(key, names, [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH], now, life)

    def server(
        self, key: ec.EllipticCurvePublicKey, dns_names: Sequence[str], now: dt.datetime, life: int
    ) -> x509.Certificate:
        """Return the certificate of a server that is not a workload, and so has no SPIFFE ID."""
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns_names]
        if "localhost" in dns_names:
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        return self._leaf(key, names, [ExtendedKeyUsageOID.SERVER_AUTH], now, life)

    def _leaf(
        self,
        key: ec.EllipticCurvePublicKey,
        names: Sequence[x509.GeneralName],
        usages: Sequence[x509.ObjectIdentifier],
        now: dt.datetime,
        life: int,
    ) -> x509.Certificate:
        end = min(now + dt.timedelta(seconds=life), self.certificate.not_valid_after_utc)
        ca_key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        # Without a subject the alternative name is critical (RFC 5280 section 4.2.1.6).
        return (
            _builder(key, x509.Name([]), self.certificate.subject, now, end)
            .add_extension(ca_key_id, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .sign(self.key, hashes.SHA256())
        )


def new_ca(  # noqa: PLR0913 - what is in its certificate
    key: Key, common_name: str, trust_domain_id: str, now: dt.datetime, *, path_length: int = 0, days: int = DAYS
) -> CA:
    """Return the CA of a trust domain, self-signed (X509-SVID sections 2 and 4), valid for `days` from `now`.

    `path_length`: how many CAs may be below it in a chain; 0 is for one that signs no other.
    """
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    certificate = (
        _builder(key.public_key(), name, name, now, now + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_usage(key_cert_sign=True), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(trust_domain_id)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return CA(key, certificate)


def _builder(
    key: ec.EllipticCurvePublicKey, subject: x509.Name, issuer: x509.Name, now: dt.datetime, end: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(seconds=SECONDS_BACK))
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    none_of = "content_commitment key_encipherment data_encipherment key_agreement crl_sign encipher_only decipher_only"
    others = dict.fromkeys(none_of.split(), False)
    return x509.KeyUsage(digital_signature=digital_signature, key_cert_sign=key_cert_sign, **others)
