"""The receipts of one answer as a tree of calls, in which both sides of each call agree (steps 5 to 7).  Pure."""

from collections.abc import Mapping
from dataclasses import replace

from evidence.unproven import Unproven
from evidence.verified_receipt import VerifiedReceipt, is_of
from zerotrust.receipts.receipt import NOT_SENT, OUTSIDE, Asked

MAX_DEPTH = 16
"""Calls below one another: twice the actors that a token may name (`identity.py`)."""


def build_call_tree(receipts: tuple[VerifiedReceipt, ...]) -> VerifiedReceipt:
    """Return the first receipt with those of its calls below it, and theirs below them.  Raises `Unproven`."""
    root = receipts[0]
    left: dict[str, VerifiedReceipt | None] = {one.digest: one for one in receipts}
    if len(left) < len(receipts):
        raise Unproven(5, root.signer, "the answer has a receipt twice")
    left[root.digest] = None
    _check_root(root)
    tree = _attach_calls(root, left, MAX_DEPTH)
    if extra := next(filter(None, left.values()), None):  # control: no-extra-receipt
        raise Unproven(
            5, extra.signer, f"its receipt of {extra.receipt.operation} is in the answer, and no receipt names it"
        )
    return tree


def _attach_calls(caller: VerifiedReceipt, left: dict[str, VerifiedReceipt | None], depth: int) -> VerifiedReceipt:
    """Take the receipts of a party's calls, and of theirs, out of `left`, where None replaces them."""
    found = []
    for number, asked in enumerate(caller.receipt.calls, 1):
        if asked.receipt is None:
            _check_missing(caller, asked)
            continue
        which = f"call {number} of {len(caller.receipt.calls)} in its receipt of {caller.receipt.operation}"
        if asked.receipt not in left:  # control: receipts-complete
            raise Unproven(5, caller.signer, f"the receipt of its call of {asked.aud} is not in the answer: {which}")
        if (called := left[asked.receipt]) is None:  # control: receipt-of-one-call
            raise Unproven(5, asked.aud, f"{caller.signer} says that it gave the receipt of another call: {which}")
        left[asked.receipt] = None
        _check_call(caller, asked, called)
        if not depth:
            raise Unproven(5, caller.signer, f"more than {MAX_DEPTH} calls below one another")
        found.append(_attach_calls(called, left, depth - 1))
    return replace(caller, below=tuple(found))


def _check_missing(caller: VerifiedReceipt, asked: Asked) -> None:
    """Raise `Unproven` for a call that may have had an effect, and that only the caller vouches for."""
    nothing_sent = asked.request is None or asked.reason == NOT_SENT
    by_its_kind = asked.reason == OUTSIDE and "://" not in asked.aud
    if not nothing_sent and not by_its_kind:  # control: receipt-needed
        raise Unproven(5, asked.aud, f"{caller.signer} called it and has no receipt of it: {asked.reason}")


def _check_root(root: VerifiedReceipt) -> None:
    token = root.receipt.token
    if token.lineage or token.jti != root.receipt.txn or token.aud != root.signer:
        raise Unproven(6, root.signer, "it was not called with a token that a user signed in for")
    if root.receipt.caller not in {None, token.azp}:
        raise Unproven(6, root.signer, "it was called with a token of another party")


def _check_call(caller: VerifiedReceipt, asked: Asked, called: VerifiedReceipt) -> None:
    above, below = caller.receipt, called.receipt
    if asked.aud != called.signer:  # control: receipt-of-the-called-party
        raise Unproven(6, asked.aud, f"{caller.signer} says that it gave a receipt of {called.signer} as its own")
    says: Mapping[str, tuple[object, object]] = {
        "the transaction": (above.txn, below.txn),
        "for whom the token is": (asked.aud, below.token.aud),
        "who called": (caller.signer, below.caller),
        "to whom the token was issued": (caller.signer, below.token.azp),
        "the token": (asked.token, below.token.jti),
        "which tokens it was exchanged from": ((*above.token.lineage, above.token.jti), below.token.lineage),
    }
    for what, (one, other) in says.items():
        if one != other:  # control: receipt-fits-its-call
            raise Unproven(6, called.signer, f"{caller.signer} and its receipt differ in {what}")
    if asked.request is None or not is_of(below, asked.request):  # control: receipt-request
        raise Unproven(7, called.signer, f"it received another request than {caller.signer} says to have sent")
    if asked.answer != below.answer:  # control: receipt-answer
        raise Unproven(7, caller.signer, f"it says to have received another answer than {called.signer} sent")
