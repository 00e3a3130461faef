"""When receipts were signed, by the log and its witnesses (step 3).  Pure.

A certificate lives two minutes, and a thief of its key can later write any time into a receipt.  So the time of a
receipt counts only where others vouch for it.  The receipt of the root is under a cosigned checkpoint, and it names all
others by their digests.
"""

from collections.abc import Iterator

from evidence.unproven import Unproven
from evidence.verified_receipt import VerifiedReceipt
from zerotrust.audit.event_types import Outcome
from zerotrust.audit.record import event_of
from zerotrust.spiffe.svid import SECONDS_BACK
from zerotrust.tlog.proof import Evidence
from zerotrust.tlog.quorum import TrustPolicy
from zerotrust.tlog.tree import InvalidLog

LONGEST_TASK = 300
"""Seconds from a request to its answer: the longest life of a user's own token (`registry.yaml`)."""
SKEW = SECONDS_BACK
"""Seconds by which the clocks of two parties may differ."""


def check_logged(root: VerifiedReceipt, evidence: Evidence, policy: TrustPolicy) -> int:
    """Return when enough witnesses had cosigned the root's receipt, in seconds since the epoch.  Raises `Unproven`."""
    try:
        _, times = evidence.proof.check(evidence.entry, policy)
        event = event_of(evidence.entry)
    except (InvalidLog, ValueError) as error:
        raise Unproven(3, root.signer, f"its receipt is not proven to be in the log: {error}") from error
    said = event.data.receipt if isinstance(event.data, Outcome) else None
    if (event.service, said) != (root.signer, root.digest):  # control: receipt-named-by-leaf
        raise Unproven(3, root.signer, "the proof is about another receipt")
    at = times.get(policy.quorum)
    if at is None:  # control: receipt-seen
        raise Unproven(3, root.signer, "the policy asks for no witness, so the time is not proven")
    if not root.receipt.iat - SKEW <= at <= root.until:  # control: receipt-in-time
        late = at - root.until
        raise Unproven(3, root.signer, f"the witnesses first saw its receipt {late:.0f} s after its certificate ended")
    return at


def check_times(caller: VerifiedReceipt) -> None:
    """Raise `Unproven` unless each call lies within that of its caller.  `caller`: with its calls below it."""
    if caller.receipt.iat - caller.receipt.began > LONGEST_TASK:  # control: task-not-too-long
        raise Unproven(3, caller.signer, f"its call took longer than {LONGEST_TASK} s")
    for above, below in _pairs(caller):
        within = above.receipt.began - SKEW <= below.receipt.began <= below.receipt.iat <= above.receipt.iat + SKEW
        if not within:  # control: receipt-within-its-caller
            raise Unproven(3, below.signer, f"its call was not during that of {above.signer}")


def _pairs(caller: VerifiedReceipt) -> Iterator[tuple[VerifiedReceipt, VerifiedReceipt]]:
    for one in caller.below:
        yield caller, one
        yield from _pairs(one)
