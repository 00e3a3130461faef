"""What is wrong with an export, a log or a journal: where first, and who is at fault."""

from dataclasses import dataclass
from typing import Literal

from zerotrust.errors import ZeroTrustError

What = Literal[
    "changed", "missing", "reordered", "duplicated", "inserted", "forked", "truncated", "unsigned", "malformed"
]
EXPORT, LOG = "the export", "the log"


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing that is not as it has to be."""

    what: What
    who: str
    """At fault: the export, the log, or the SPIFFE ID of a service."""
    why: str
    """In words, after `what`."""
    leaf: int | None = None
    """The first leaf of the log that is concerned, from 0."""
    party: str | None = None
    """The SPIFFE ID of the service whose record it is; None for a leaf of the log's own."""
    record: int | None = None
    """Its number in the journal of that service, from 1."""

    @property
    def where(self) -> str:
        """The record and the leaf, as far as they are known."""
        record = f"record {self.record} of {self.party}" if self.record is not None else ""
        leaf = f"leaf {self.leaf}" if self.leaf is not None else ""
        return f"{record} ({leaf})" if record and leaf else record or leaf or "the whole"

    def __str__(self) -> str:
        return f"{self.where}: {self.what}: {self.why}; at fault: {self.who}"


class Faulty(ZeroTrustError, ValueError):
    """Verification has found a fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault
