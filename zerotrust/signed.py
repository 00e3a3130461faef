"""Statements that a party signs with its SVID: registry, signals, agent cards.  Pure.

A compact JWS (RFC 7515) whose header brings the certificate (`x5c`).  It is believed if an authority of our trust
domain issued that certificate to the very party that is expected to say this, and only while it lives.
"""

import base64
import datetime as dt
from typing import Any

import jwt
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from zerotrust.errors import ZeroTrustError
from zerotrust.strict_json import strict_object
from zerotrust.svid import NotAnSvid, Svid, id_of, life_of

ALGORITHM = "ES256"


class Untrusted(ZeroTrustError, ValueError):
    """A statement that is not what it should be; the text says in which way."""


def sign(payload: bytes, svid: Svid, *, kind: str) -> str:
    """Return `payload` signed with this SVID; `kind` is what it is a statement of (the header's `typ`)."""
    header = {"typ": kind, "x5c": [chain_entry(svid.certificate)]}
    return jwt.PyJWS().encode(payload, svid.key, ALGORITHM, headers=header)


def verified(statement: str, *, kind: str, signer: str, own: Svid, now: float) -> dict[str, Any]:
    """Return what `signer` (a SPIFFE ID) says in this statement of that kind; `now` in seconds since the epoch.

    `own` is the reader's SVID: it says whose certificates are good, and how long a life they may have.
    Raises `Untrusted`.
    """
    try:
        brought = _header(statement)
        if brought.keys() != {"alg", "typ", "x5c"} or brought["alg"] != ALGORITHM or brought["typ"] != kind:
            raise Untrusted(f"not a statement of kind {kind}, signed with {ALGORITHM} and a certificate")
        key = trusted_key(brought["x5c"], signer=signer, own=own, now=now)
        said = jwt.PyJWS([ALGORITHM]).decode(statement, key, [ALGORITHM])
        return strict_object(said, most=None)  # all that is withdrawn may be many
    except jwt.InvalidTokenError as error:
        raise Untrusted(f"the signature is not that of {signer}") from error
    except ValueError as error:
        raise Untrusted(str(error)) from error


def kind_of(statement: str) -> str:
    """Return what a statement claims to be: good for choosing what to hold it to, and for nothing else."""
    try:
        return str(_header(statement).get("typ"))
    except ValueError as error:
        raise Untrusted("no statement") from error


def _header(statement: str) -> dict[str, Any]:
    header, _, _ = statement.partition(".")
    return strict_object(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))


def chain_entry(certificate: x509.Certificate) -> str:
    """A certificate as it stands in an `x5c` header (RFC 7515 section 4.1.6)."""
    return base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()


def certificate_of(chain: Any) -> x509.Certificate:
    """The one certificate of an `x5c` header, not trusted yet.  Raises `ValueError` or `TypeError`."""
    (entry,) = chain
    return x509.load_der_x509_certificate(base64.b64decode(entry, validate=True))


def trusted_key(chain: Any, *, signer: str, own: Svid, now: float) -> EllipticCurvePublicKey:
    """Return the key of an `x5c` header whose one certificate was issued to `signer` by an authority of ours.

    `own` is the reader's SVID.  Raises `Untrusted`, also once the certificate has ended, for a signature is good while
    it lives; and where it lives longer than the reader's own, for the authority issues none such.
    """
    try:
        certificate = certificate_of(chain)
        name = id_of(certificate)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except (ValueError, TypeError, NotAnSvid, x509.ExtensionNotFound) as error:
        raise Untrusted("not exactly one SVID in the header") from error
    if name != signer:
        raise Untrusted(f"signed by {name}, and not by {signer}")
    if not any(_issued(authority, certificate) for authority in own.bundle):
        raise Untrusted("the certificate is not of this trust domain's authority")
    at = dt.datetime.fromtimestamp(now, dt.UTC)
    if not certificate.not_valid_before_utc <= at < certificate.not_valid_after_utc:
        raise Untrusted(f"the certificate of {signer} has ended, or not begun")
    if life_of(certificate) > own.life:
        raise Untrusted(f"the certificate of {signer} lives longer than {own.life:.0f} s")
    key = certificate.public_key()
    if not usage.digital_signature or not isinstance(key, EllipticCurvePublicKey):
        raise Untrusted("the certificate's key does not sign")
    return key


def _issued(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
