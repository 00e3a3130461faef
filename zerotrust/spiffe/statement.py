"""Signs and verifies the statements of a party with its SVID: feed, policy bundles, agent cards, receipts.  Pure.

A statement is a compact JWS (RFC 7515) with the signer's certificate and the intermediates up to an authority (`x5c`).
It is valid if the chain leads to an authority of our trust domain and the certificate is an SVID of the expected
signer.  `verify_statement` takes it until its certificate expires; a receipt is judged at the time of its signing.
"""

import base64
import datetime as dt
import json
from collections.abc import Collection
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from jwt.utils import base64url_encode

from zerotrust.errors import ZeroTrustError
from zerotrust.limits.strict_json import strict_object
from zerotrust.spiffe.svid import Svid, id_of, life_of

ALGORITHM = "ES256"
MAX_CHAIN = 4
"""Certificates in a header: the signer's and intermediates."""
UNREADABLE = x509.ExtensionNotFound, x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType
"""The library's exceptions for a certificate, beside `ValueError`."""


class InvalidStatement(ZeroTrustError, ValueError):
    """A statement is not valid; the text says why."""


def sign(payload: bytes, svid: Svid, *, kind: str) -> str:
    """Return `payload` signed with this SVID; `kind` is the media type of the statement (the header's `typ`)."""
    return jwt.PyJWS().encode(
        payload, svid.key, ALGORITHM, {"typ": kind, "x5c": [chain_entry(one) for one in svid.chain]}
    )


def _encoded(header: dict[str, Any]) -> bytes:
    """Return a header in its canonical form (RFC 8785), as `sign` writes it: that has ASCII alone."""
    return base64url_encode(json.dumps(header, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode())


def verify_statement(statement: str, *, kind: str, signer: str, own: Svid, now: float) -> dict[str, Any]:
    """Return the content of a statement of that kind by `signer` (a SPIFFE ID); `now` in seconds since the epoch.

    `own` is the reader's SVID: its bundle has the trusted authorities, and its lifetime is the longest accepted.
    Raises `InvalidStatement`.
    """
    try:
        key = trusted_key(certificates(statement, kind=kind), signer=signer, own=own, now=now)
        payload = jwt.PyJWS([ALGORITHM]).decode(statement, key, [ALGORITHM])
        return strict_object(payload, most=None)  # the number of revocations is not bounded
    except jwt.InvalidTokenError as error:
        raise InvalidStatement(f"the signature is not that of {signer}") from error
    except ValueError as error:
        raise InvalidStatement(str(error)) from error


def certificates(statement: str, *, kind: str) -> Any:
    """Return the `x5c` of a statement of that kind, not verified.  Raises `ValueError`."""
    brought = _header(statement)  # `typ` has one spelling, because only `sign` writes it
    if brought.keys() != {"alg", "typ", "x5c"} or brought["alg"] != ALGORITHM or brought["typ"] != kind:
        raise InvalidStatement(f"not a statement of kind {kind}, signed with {ALGORITHM} and a certificate")
    if _encoded(brought).decode() != statement.partition(".")[0]:  # each header has one spelling, for all readers
        raise InvalidStatement("its header is in another spelling")
    return brought["x5c"]


def statement_type(statement: str) -> str:
    """Return the type that a statement claims, not verified: use it only to choose how to verify the statement.

    Raises `InvalidStatement`.
    """
    try:
        return str(_header(statement).get("typ"))
    except ValueError as error:
        raise InvalidStatement("not a statement") from error


def _header(statement: str) -> dict[str, Any]:
    header, _, _ = statement.partition(".")
    return strict_object(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))


def chain_entry(certificate: x509.Certificate) -> str:
    """Return a certificate as an element of an `x5c` header (RFC 7515 section 4.1.6)."""
    return base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()


def chain_of(header: Any) -> list[x509.Certificate]:
    """Return the certificates of an `x5c` header, not verified.  Raises `ValueError` or `TypeError`."""
    if not isinstance(header, list) or not 1 <= len(header) <= MAX_CHAIN:
        raise ValueError(f"not 1 to {MAX_CHAIN} certificates")
    chain = [x509.load_der_x509_certificate(base64.b64decode(entry, validate=True)) for entry in header]
    if [*map(chain_entry, chain)] != header:
        raise ValueError("base64 in another spelling")
    return chain


def trusted_key(header: Any, *, signer: str, own: Svid, now: float) -> EllipticCurvePublicKey:
    """Return the key of the first certificate of an `x5c` header, if it is a valid SVID of `signer`.

    It is valid at `now`, in seconds since the epoch, on four conditions.  The certificates lead to an authority in the
    bundle of `own`, the reader's SVID (RFC 5280 section 6).  The first is a leaf for signing with exactly one SPIFFE ID
    (SPIFFE X509-SVID section 5).  It has not expired, since a signature is valid until then.  Its lifetime is not
    longer than the reader's, since the authority issues no longer one.  Raises `InvalidStatement`.
    """
    name, leaf, key = signer_of(header, bundle=own.bundle, at=now)
    if name != signer:  # control: statement-signer
        raise InvalidStatement(f"signed by {name}, not by {signer}")
    if life_of(leaf) > own.life:  # control: statement-certificate-lifetime
        raise InvalidStatement(f"the lifetime of the certificate of {signer} is longer than {own.life:.0f} s")
    return key


def signer_of(
    header: Any, *, bundle: Collection[x509.Certificate], at: float
) -> tuple[str, x509.Certificate, EllipticCurvePublicKey]:
    """Return the SPIFFE ID, the certificate and the key of an `x5c` header's signer, if they were valid at that time.

    `bundle`: the authorities that are trusted; `at`: seconds since the epoch.  Raises `InvalidStatement`.
    """
    try:
        chain = chain_of(header)
        _check_chain(chain, bundle, dt.datetime.fromtimestamp(at, dt.UTC))
        leaf = chain[0]
        name = id_of(leaf)
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    except VerificationError as error:
        raise InvalidStatement(f"the certificate is not of this trust domain's authority: {error}") from error
    except InvalidStatement:
        raise
    except (ValueError, TypeError, *UNREADABLE) as error:
        raise InvalidStatement("not exactly one SVID in the header") from error
    key = leaf.public_key()
    if not usage.digital_signature or not isinstance(key, EllipticCurvePublicKey):
        raise InvalidStatement("the certificate's key is not for signing")
    return name, leaf, key


def _check_chain(chain: list[x509.Certificate], bundle: Collection[x509.Certificate], at: dt.datetime) -> None:
    """Raise `VerificationError` or `InvalidStatement` unless the chain is valid at this time."""
    leaf, *intermediates = chain
    if not leaf.not_valid_before_utc <= at < leaf.not_valid_after_utc:  # control: statement-certificate-in-time
        raise InvalidStatement("the certificate has expired, or is not valid yet")
    verifier = PolicyBuilder().store(Store(list(bundle))).time(at).build_client_verifier()
    # control: statement-chain
    if verifier.verify(leaf, intermediates).chain[:-1] != chain:  # each certifies the one before (RFC 7515 4.1.6)
        raise InvalidStatement("the header has certificates that do not lead to an authority")
