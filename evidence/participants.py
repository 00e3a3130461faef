"""Verifies who took part in a task: ten steps; the first fault that is found is named with step and party.  Pure.

No server is asked: the answer has the receipts, and the reader passes in what to trust.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509

from evidence.accepted import Accepted
from evidence.call_tree import build_call_tree
from evidence.completeness import Comparison, check_complete
from evidence.signing_time import check_logged, check_times
from evidence.unproven import SOMEBODY, Unproven
from evidence.verified_receipt import VerifiedReceipt, is_of, receipts_in, verify_receipt
from zerotrust.receipts.carried import Carried, parse_answer, parse_header
from zerotrust.receipts.receipt import OUTSIDE, digest_of
from zerotrust.tlog.proof import Evidence
from zerotrust.tlog.quorum import TrustPolicy

EXACTLY = "it has to be as it was sent, byte for byte, without a line feed added, and not formatted again"
"""Common mistakes with an answer or a request that they have saved."""


@dataclass(frozen=True, slots=True)
class Proven:
    """The participants of a task."""

    root: VerifiedReceipt
    """The receipt of the party that answered, with those of its calls below it, and theirs below them."""
    at: int | None
    """When enough witnesses had seen it, in seconds since the epoch; None if no evidence was given."""
    compared: Comparison | None = None
    """The log's account of others; None if it was not compared."""

    @property
    def others(self) -> int | None:
        """How many other answers the log has for the same sign-in; None if the log was not compared."""
        return self.compared.others if self.compared else None

    @property
    def complete(self) -> bool:
        """Whether the log has no call of this answer that is in no receipt, and none can come any more."""
        return self.compared is not None and self.compared.complete


def verify(  # noqa: PLR0913 - what the reader believes, each by name
    answer: bytes,
    *,
    authorities: Collection[x509.Certificate],
    accepted: Accepted,
    policy: TrustPolicy,
    evidence: Evidence | None,
    request: bytes | None = None,
    transaction: str | None = None,
    leaves: Iterable[bytes] | None = None,
    also: Iterable[bytes] = (),
) -> Proven:
    """Return who took part in the task that was answered with `answer`.  Raises `Unproven`.

    `answer`: the content as it came.  `authorities`: of the trust domain's workloads.  `policy`: of the log.
    `evidence`: that the log has the first receipt.  None leaves open whether a key was used after its certificate had
    ended (step 3); then `leaves` must show that the log has that receipt.  `request`: the content as it was sent, and
    `transaction`: the `jti` of the user's own token; one that is not given is not compared.  `leaves`: all of a
    verified export, in order.  `also`: further answers of the same sign-in, which are compared with it together.
    """
    found, receipts = _unpack(answer, authorities)
    if evidence is None and leaves is None:
        raise Unproven(3, receipts[0].signer, "nothing shows that a log has its receipt")
    at = check_logged(receipts[0], evidence, policy) if evidence else None
    _check_mine(receipts[0], found, request, transaction)
    roots = [_verify_tree(receipts, accepted)]
    for other in also:
        found, receipts = _unpack(other, authorities)
        _check_mine(receipts[0], found, None, roots[0].receipt.txn)
        roots.append(_verify_tree(receipts, accepted))
    return Proven(roots[0], at, None if leaves is None else check_complete(roots, leaves, accepted.ledger))


def verify_refusal(  # noqa: PLR0913 - what the reader believes, each by name
    answer: bytes,
    receipt: str,
    *,
    authorities: Collection[x509.Certificate],
    accepted: Accepted,
    request: bytes | None = None,
    transaction: str | None = None,
) -> Proven:
    """Return who refused a request, by the `receipt` in the header of the answer.  Raises `Unproven`.

    The other arguments are those of `verify`.  No record of the log names such a receipt, so nothing proves its time
    (step 3): it may be of a key that was stolen after its certificate had ended.
    """
    texts = parse_header(receipt)
    if not texts:
        raise Unproven(1, SOMEBODY, "the header has no receipt")
    receipts = _verify_each(texts, authorities)
    if receipts[0].receipt.verdict != "refused":
        raise Unproven(3, receipts[0].signer, "the log has to show its receipt, which is not of a refusal")
    _check_mine(receipts[0], Carried(answer, 0, texts), request, transaction)
    return Proven(_verify_tree(receipts, accepted), None)


def _unpack(answer: bytes, authorities: Collection[x509.Certificate]) -> tuple[Carried, tuple[VerifiedReceipt, ...]]:
    found = parse_answer(answer)
    if not found or not found.receipts:
        raise Unproven(1, SOMEBODY, f"the answer has no receipts; {EXACTLY}")
    return found, _verify_each(found.receipts, authorities)


def _verify_tree(receipts: tuple[VerifiedReceipt, ...], accepted: Accepted) -> VerifiedReceipt:
    """Return the tree of these receipts, verified by itself (steps 5 to 9)."""
    root = build_call_tree(receipts)
    check_times(root)
    for one in receipts_in(root):
        _check_approved(one, accepted)
    for one in receipts_in(root):
        _check_accepted(one, accepted)
    _check_front_door(root, accepted)
    return root


def _verify_each(texts: Sequence[str], authorities: Collection[x509.Certificate]) -> tuple[VerifiedReceipt, ...]:
    """Verify each receipt.  If one is faulty, the receipt of its caller says whose it is.

    If it is malformed and no receipt names it, the first party is at fault: it had to leave it out
    (`carried.keep_named`).
    """
    found: list[VerifiedReceipt] = []
    for number, text in enumerate(texts, 1):
        try:
            found.append(verify_receipt(text, authorities))
        except Unproven as error:
            digest, place = digest_of(text), f"receipt {number} of {len(texts)} in the answer"
            for caller in found:
                for asked in caller.receipt.calls:
                    if asked.receipt == digest:  # control: faulty-receipt-of-the-called-party
                        why = f"{caller.signer} says that it gave {place} as its own: {error.why}"
                        raise Unproven(error.step, asked.aud, why) from error
            if error.step == 1 and found:
                why = f"it passed on {place}, which is {error.why}, and which no receipt names"
                raise Unproven(1, found[0].signer, why) from error
            if found:  # the first one fits the reader's authorities, so these are not to blame
                raise Unproven(error.step, error.party, f"{error.why}; it is {place}") from error
            raise
    return tuple(found)


def _check_mine(root: VerifiedReceipt, found: Carried, request: bytes | None, transaction: str | None) -> None:
    if hashlib.sha256(found.content).hexdigest() != root.receipt.answer:  # control: answer-is-mine
        raise Unproven(4, root.signer, f"this is not the answer that it signed; {EXACTLY}")
    # control: request-is-mine
    if request is not None and not is_of(root.receipt, hashlib.sha256(request).hexdigest()):
        raise Unproven(4, root.signer, f"it answered another request; {EXACTLY}")
    if transaction is not None and transaction != root.receipt.txn:  # control: transaction-is-mine
        raise Unproven(4, root.signer, "it answered in another transaction")


def _check_approved(one: VerifiedReceipt, accepted: Accepted) -> None:
    party = accepted.parties.get(one.signer)
    if party is None:
        return  # step 9
    if one.receipt.code not in party.code:  # control: receipt-code
        raise Unproven(8, one.signer, f"it ran code that was not approved: {one.receipt.code}")
    permission, may = one.receipt.permission, party.permissions
    if may is not None and permission is not None and permission not in may:  # control: receipt-permission
        raise Unproven(8, one.signer, f"it does not serve {permission}")


def _check_accepted(one: VerifiedReceipt, accepted: Accepted) -> None:
    if one.signer not in accepted.parties:  # control: receipt-signer-accepted
        raise Unproven(9, one.signer, "it took part, and is not accepted")
    for asked in one.receipt.calls:
        if asked.reason == OUTSIDE and asked.aud not in accepted.outside:
            raise Unproven(9, asked.aud, f"{one.signer} called it outside, and it is not accepted")


def _check_front_door(root: VerifiedReceipt, accepted: Accepted) -> None:
    """Raise `Unproven` unless a user's client called a front door: any party can sign an answer of its own."""
    clients, client = accepted.parties[root.signer].clients, root.receipt.token.azp
    if client not in clients:  # control: receipt-front-door
        why = (
            f"it was called by {client}, which is not accepted as its client" if clients else "it is not an entry party"
        )
        raise Unproven(9, root.signer, why)
