"""Why receipts do not prove who took part: the step of the verification, and the party.  Pure."""

from zerotrust.errors import ZeroTrustError

STEPS = (
    "the answer has receipts, and each has the one form",
    "each is signed by a workload of the trust domain",
    "the log proves when: every certificate was valid then",
    "the answer, the request and the transaction are mine",
    "the receipts are one tree, without a gap and without an extra one",
    "each call was made by who made it, with the token of that exchange",
    "both sides of each call say the same",
    "each party ran the approved code, and did what it may do",
    "each party is one that I accept",
    "the log has no other call or exchange of this transaction",
)
"""What each step of a verification shows, the first one first."""

SOMEBODY = "a party without a name"
"""Where nobody is at fault, or nobody knows who is."""


class Unproven(ZeroTrustError, ValueError):
    """The first fault that was found; another step may have failed as well."""

    def __init__(self, step: int, party: str, why: str) -> None:
        """`step`: from 1; `party`: whom it is about; `why`: a sentence without its full stop."""
        super().__init__(f"step {step} of {len(STEPS)}: {party}: {why}")
        self.step, self.party, self.why = step, party, why


class OtherAuthority(Unproven):
    """A certificate does not lead to an authority of the reader: a forger's, or the system's at another start."""


class OtherCode(Unproven):
    """A party ran code that the reader does not accept: an intruder's, or that of another state of the project."""


class EndsBefore(Unproven):
    """The log that was compared ends before it has to have this answer: nobody is at fault.

    Times are seconds since the epoch.
    """

    def __init__(self, until: int, answered: int, over: int) -> None:
        """`until`: when the log ends; `over`: until when the record of an answer given at `answered` may come."""
        super().__init__(10, SOMEBODY, "the log that was compared ends before it has to have this answer")
        self.until, self.answered, self.over = until, answered, over
