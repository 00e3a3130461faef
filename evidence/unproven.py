"""Why receipts do not prove who took part: the step of the verification, and the party.  Pure."""

from zerotrust.errors import ZeroTrustError

STEPS = (
    "the answer has receipts, and each is well-formed",
    "each is signed by a workload of the trust domain",
    "the log proves the time, and every certificate was valid then",
    "the answer, the request and the transaction are yours",
    "the receipts are one tree: none is missing, and none is left over",
    "both sides of each call name the same parties and the same token",
    "both sides of each call have the same content",
    "each party ran code that you accept, and did only what it may do",
    "you accept each party",
    "the log has no other call or exchange of this transaction",
)
"""The proof that each step of a verification gives, in order."""

SOMEBODY = "a party without a name"
"""If no party is at fault, or an unknown one."""


class Unproven(ZeroTrustError, ValueError):
    """The first fault that was found; another step may have failed as well."""

    def __init__(self, step: int, party: str, why: str) -> None:
        """`step`: from 1; `party`: whom it is about; `why`: a sentence without its full stop."""
        super().__init__(f"step {step} of {len(STEPS)}: {party}: {why}")
        self.step, self.party, self.why = step, party, why
