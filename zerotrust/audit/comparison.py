"""Whether a service's journal still is what it delivered to the log.  Pure."""

from array import array
from collections.abc import Iterable

from zerotrust.audit.fault import Fault, What
from zerotrust.audit.outline import Outline, outline
from zerotrust.audit.record import hash_of

HASH = 32


class Delivered:
    """The records of one journal that the log has: 40 bytes for each."""

    def __init__(self, service: str, first: int) -> None:
        """`first`: the number of the first one; an export can leave out those before."""
        self.service, self.first = service, first
        self.hashes, self.leaves = bytearray(), array("Q")

    @property
    def last(self) -> int:
        """The number of the last one."""
        return self.first + len(self.leaves) - 1

    def add(self, leaf: int, head: str) -> None:
        """Note the next record, by its leaf and its hash."""
        self.leaves.append(leaf)
        self.hashes += bytes.fromhex(head)

    def fault(self, what: What, record: int, why: str) -> Fault:
        """Return a fault of the service at a record."""
        leaf = self.leaves[record - self.first] if self.first <= record <= self.last else None
        return Fault(what, self.service, why, leaf, self.service, record)


def compared(delivered: Delivered, lines: Iterable[bytes], first: int = 1) -> tuple[Fault | None, int]:
    """Return the first fault of a journal, and how many of its records are not in the log yet.

    `lines`: of the journal, from record `first` on: closed segments are deleted, once the ledger has them.
    """
    number, head = first - 1, ""
    for number, line in enumerate(lines, first):
        content = _outline(line)
        if not content or (content.service, content.number) != (delivered.service, number):
            return delivered.fault("changed", number, "the journal has another line in its place"), 0
        before, head = head, hash_of(line)
        at = (number - delivered.first) * HASH
        # control: journal-as-delivered
        if delivered.first <= number <= delivered.last and bytes.fromhex(head) != delivered.hashes[at : at + HASH]:
            return delivered.fault("changed", number, "the journal has another record than was delivered"), 0
        if before and content.previous != before:
            changed = max(number - 1, delivered.last + 1)  # what was delivered is as it was
            return delivered.fault("changed", changed, "the chain of the journal is broken there"), 0
    if number < delivered.last:
        return delivered.fault("truncated", max(number + 1, delivered.first), "the journal ends before it"), 0
    return None, number - delivered.last


def _outline(line: bytes) -> Outline | None:
    try:
        content = outline(line)
    except ValueError:
        return None
    return content if isinstance(content, Outline) else None
