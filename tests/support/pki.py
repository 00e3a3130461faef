"""A CA in a test's own hands: certificates for Keycloak, for workloads, and such as nobody should believe."""

import datetime as dt
import ipaddress
import os
import secrets
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from authorities.attestation.spiffe import certificates
from testkit import ca

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


class CA:
    """Signs for the length of a test run; its name is its own, or Java tries the key of another of that name."""

    def __init__(self, genuine: certificates.CA | None = None) -> None:
        """`genuine`: the CA of a running authority, whose key is then in the test's hands."""
        self._key = genuine.key if genuine else ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"CA {secrets.token_hex(8)}")])
        if genuine:
            self._name, certificate = genuine.certificate.subject, genuine.certificate
        else:
            constraints = x509.BasicConstraints(ca=True, path_length=0)
            builder = self._builder(self._name, self._key, days=1).add_extension(constraints, critical=True)
            # What a CA must say (RFC 5280 section 4.2.1.3); since Python 3.13 clients check it.
            builder = builder.add_extension(certificates._usage(key_cert_sign=True), critical=True)
            certificate = builder.sign(self._key, hashes.SHA256())
        self.pem = certificate.public_bytes(serialization.Encoding.PEM)

    def server(self, folder: Path, name: str = "localhost") -> tuple[Path, Path]:
        """Write a server's certificate and its key, and return the two files."""
        names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return self._files(folder, name, names, SERVER)

    def party(self, folder: Path, dns_name: str, *spiffe_ids: str, days: int = 1) -> tuple[Path, Path]:
        """Write a party's certificate and its key, as attestation would for one SPIFFE ID; return the two files."""
        names = [x509.DNSName(dns_name), *(x509.UniformResourceIdentifier(spiffe_id) for spiffe_id in spiffe_ids)]
        return self._files(folder, dns_name, names, SERVER, days=days)

    def workload(self, folder: Path, spiffe_id: str, *, days: int = 1) -> ssl.SSLContext:
        """A client's context with an X.509-SVID; it trusts this CA."""
        name = spiffe_id.rpartition("/")[2]
        context = self.client()
        context.load_cert_chain(
            *self._files(folder, name, [x509.UniformResourceIdentifier(spiffe_id)], CLIENT, days=days)
        )
        return context

    def client(self) -> ssl.SSLContext:
        """A client's context without a certificate; it trusts this CA."""
        return ssl.create_default_context(cadata=self.pem.decode())

    def _files(
        self, folder: Path, name: str, names: Sequence[x509.GeneralName], usage: x509.ObjectIdentifier, *, days: int = 1
    ) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} {secrets.token_hex(8)}")])
        certificate = (
            self._builder(subject, key, days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        made = folder / f"{name}.crt", folder / f"{name}.key"
        made[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        made[1].unlink(missing_ok=True)
        with os.fdopen(os.open(made[1], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(private)
        return made

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        begin, end = now - dt.timedelta(days=2), now + dt.timedelta(days=days)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return ca._builder(subject, self._name, key, begin, end).add_extension(authority, critical=False)
