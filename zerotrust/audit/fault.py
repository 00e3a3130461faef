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


class Faulty(ZeroTrustError, ValueError):
    """Verification has found a fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"{fault.what}: {fault.why}")
        self.fault = fault
