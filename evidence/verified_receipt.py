"""One receipt, verified by itself: its form, its certificate and its signature (steps 1 and 2).  Pure."""

import base64
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cache

import jwt
from cryptography import x509
from jwt.utils import base64url_encode
from pydantic import TypeAdapter

from evidence.unproven import SOMEBODY, Unproven
from zerotrust.receipts.receipt import KIND, Receipt, digest_of
from zerotrust.spiffe.statement import ALGORITHM, certificates, signer_of
from zerotrust.spiffe.svid import LONGEST_CERTIFICATE, life_of


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """A receipt that its signer signed with a certificate that was valid when it says that it signed."""

    signer: str
    """Its SPIFFE ID."""
    digest: str
    receipt: Receipt
    until: float
    """When its certificate ends, in seconds since the epoch."""
    below: tuple["VerifiedReceipt", ...] = field(default=())
    """Those of the calls that it made, once they were verified."""


def verify_receipt(text: str, authorities: Collection[x509.Certificate]) -> VerifiedReceipt:
    """Return a receipt that is well-formed, and signed by a workload of these authorities.  Raises `Unproven`."""
    try:
        x5c = certificates(text, kind=KIND)  # control: receipt-kind
        _, payload, _ = text.split(".")
        receipt = receipt_of(raw := base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        if base64url_encode(raw).decode() != payload:
            raise ValueError("base64 in another spelling")
    except ValueError as error:
        raise Unproven(1, SOMEBODY, f"not a receipt: {error}".splitlines()[0]) from error
    claimed, which = receipt.token.aud, f"in its receipt of {receipt.operation}"
    try:
        signer, leaf, key = signer_of(x5c, bundle=authorities, at=receipt.iat)
        if life_of(leaf) > LONGEST_CERTIFICATE:
            raise Unproven(2, signer, f"{which}, its certificate lives longer than {LONGEST_CERTIFICATE} s")
        jwt.PyJWS([ALGORITHM]).decode(text, key, [ALGORITHM])  # control: receipt-signature
    except jwt.InvalidTokenError as error:
        raise Unproven(2, claimed, f"{which}, the signature is not that of the certificate") from error
    except Unproven:
        raise
    except ValueError as error:
        raise Unproven(2, claimed, f"{which}, {error}") from error
    return VerifiedReceipt(signer, digest_of(text), receipt, leaf.not_valid_after_utc.timestamp())


def receipts_in(tree: VerifiedReceipt) -> Iterator[VerifiedReceipt]:
    """Yield the receipts of a tree, a caller before those whom it called."""
    yield tree
    for one in tree.below:
        yield from receipts_in(one)


def receipt_of(raw: bytes) -> Receipt:
    """Return the receipt of these canonical bytes.  Raises `ValueError` for anything else."""
    found = _reader().validate_json(raw)
    if found.payload() != raw:  # control: receipt-canonical
        raise ValueError("not in canonical form")
    if any((one.receipt is None) == (one.reason is None) for one in found.calls):
        raise ValueError("a call has a receipt, or a reason why not")
    return found


@cache
def _reader() -> TypeAdapter[Receipt]:
    return TypeAdapter(Receipt)


def is_of(receipt: Receipt, request: str) -> bool:
    """Whether it can be of the request with this digest: a refused request was perhaps not read to its end."""
    unread = receipt.request is None and receipt.verdict == "refused" and not receipt.calls
    return unread or receipt.request == request
