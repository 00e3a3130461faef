"""What SVIDs say, and which ones the issuer takes for its own."""

import base64
import datetime as dt
import json
import time

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from authorities.attestation.spiffe.svid_issuer import Issuer
from tests.support.ca import the_ca
from zerotrust.spiffe.svid import NotAnSvid, Svid, id_of

NOW = int(time.time())
LONG = 3600  # outlives any run of the tests, which may have begun long ago
READER = "spiffe://agents.example/agent/reader"


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer("agents.example")


def test_an_svid_says_who_for_whom_and_how_long_and_its_header_the_key_and_nothing_else(issuer: Issuer) -> None:
    tokens = [issuer.jwt_svid(READER, ["realm"], now=NOW, life=60) for _ in range(2)]

    claims = [jwt.decode(token, options={"verify_signature": False}) for token in tokens]
    identifiers = {claim.pop("jti") for claim in claims}
    assert claims == [{"sub": READER, "aud": ["realm"], "iat": NOW, "exp": NOW + 60}] * 2
    assert len(identifiers) == 2
    assert all(len(one) >= 20 for one in identifiers)
    _, key = json.loads(issuer.bundle())["keys"]
    assert jwt.get_unverified_header(tokens[0]) == {"alg": "ES256", "typ": "JWT", "kid": key["kid"]}


def test_the_bundle_holds_both_public_halves_and_no_refresh_hint(issuer: Issuer) -> None:
    bundle = json.loads(issuer.bundle())

    assert bundle.keys() == {"keys"}
    for_x509, for_jwt = bundle["keys"]
    assert for_jwt.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert for_jwt["use"] == "jwt-svid"
    assert for_x509.keys() == {"kty", "crv", "x", "y", "use", "x5c"}
    assert for_x509["use"] == "x509-svid"
    assert [base64.b64decode(certificate) for certificate in for_x509["x5c"]] == [issuer.ca_der]
    assert for_x509["x"] != for_jwt["x"]


# Certificates

BEGAN = dt.datetime.now(dt.UTC)
DNS = "reader.agent.agents.example"


def svid(issuer: Issuer, life: int = 120) -> x509.Certificate:
    return x509.load_der_x509_certificate(issuer.x509_svid(READER, DNS, now=BEGAN, life=life)[1])


def names(certificate: x509.Certificate) -> x509.Extension[x509.SubjectAlternativeName]:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)


def test_a_certificate_says_who_by_one_uri_and_one_dns_name_and_nothing_else(issuer: Issuer) -> None:
    certificate = svid(issuer)

    assert list(certificate.subject) == []
    assert names(certificate).critical
    assert list(names(certificate).value) == [x509.UniformResourceIdentifier(READER), x509.DNSName(DNS)]


def test_a_certificate_lives_as_long_as_it_is_told_to_and_no_longer_than_its_ca(issuer: Issuer) -> None:
    certificate, ca = svid(issuer, life=120), x509.load_der_x509_certificate(issuer.ca_der)

    began = BEGAN.replace(microsecond=0)
    assert certificate.not_valid_after_utc == began + dt.timedelta(seconds=120)
    assert dt.timedelta(0) < began - certificate.not_valid_before_utc <= dt.timedelta(seconds=5)
    assert svid(issuer, life=10**9).not_valid_after_utc == ca.not_valid_after_utc


def test_a_workloads_certificate_is_for_signing_handshakes_on_either_side(issuer: Issuer) -> None:
    extensions = svid(issuer).extensions

    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not any((usage.value.key_cert_sign, usage.value.crl_sign, usage.value.key_agreement))
    assert set(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == {
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    }


def test_the_ca_is_the_trust_domain_and_signs_no_other_ca(issuer: Issuer) -> None:
    ca = x509.load_der_x509_certificate(issuer.ca_der)

    constraints = ca.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
    assert list(names(ca).value) == [x509.UniformResourceIdentifier("spiffe://agents.example")]
    usage = ca.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert not usage.digital_signature
    assert x509.load_pem_x509_certificate(issuer.ca_pem) == ca


@pytest.mark.parametrize(("name", "addresses"), [("localhost", ["127.0.0.1"]), ("keycloak.example", [])])
def test_a_server_that_is_no_workload_has_a_name_and_no_spiffe_id(
    issuer: Issuer, name: str, addresses: list[str]
) -> None:
    key, pem = issuer.server_certificate(name)

    certificate = x509.load_pem_x509_certificate(pem)
    found = names(certificate).value
    assert found.get_values_for_type(x509.UniformResourceIdentifier) == []
    assert found.get_values_for_type(x509.DNSName) == [name]
    assert [str(address) for address in found.get_values_for_type(x509.IPAddress)] == addresses
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert load_pem_private_key(key, None).public_key() == certificate.public_key()


def test_a_key_of_another_kind_is_no_svids(signing_key: rsa.RSAPrivateKey, issuer: Issuer) -> None:
    _, certificate = issuer.x509_svid(READER, "reader.test", now=dt.datetime.now(dt.UTC), life=LONG)
    other = signing_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(ValueError, match="a key of another kind"):
        Svid.from_der(other, certificate, [])


def test_a_certificate_that_names_nobody_is_no_svid_and_a_key_is_not_shown(issuer: Issuer) -> None:
    with pytest.raises(NotAnSvid, match="without a name"):
        id_of(the_ca().certificate)
    der = issuer.x509_svid(READER, "reader.test", now=dt.datetime.now(dt.UTC), life=LONG)
    assert "key" not in repr(Svid.from_der(*der, []))
