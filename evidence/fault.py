"""The first fault of an export, a log or a journal: where it is, and who made it.  Pure.

Only the outline of a leaf is read, its service and number without the event, so that a million leaves take seconds.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import Literal, NoReturn

from zerotrust.audit.record import GENESIS, Link, hash_of
from zerotrust.authority.ledger.leaf import Heads, Outline, outline
from zerotrust.errors import ZeroTrustError
from zerotrust.tlog.tree import HASH, leaf_hash


def record_of(line: bytes | None) -> Outline | None:
    """Return the outline of a record; None for any other line."""
    try:
        content = outline(line or b"")
    except ValueError:
        return None
    return content if isinstance(content, Outline) else None


What = Literal[
    "changed", "missing", "reordered", "duplicated", "inserted", "forked", "truncated", "unsigned", "malformed"
]
EXPORT, LOG = "the export", "the log"


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing that is not as it has to be."""

    what: What
    who: str
    """The one at fault: the export, the log, or a service by its SPIFFE ID."""
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


class JournalPositions:
    """Where each journal stands in a log, after the leaves that were read so far."""

    def __init__(self) -> None:
        self.stands = dict[str, Link]()

    def read(self, index: int, line: bytes) -> Outline | Heads:
        """Return what the next leaf is.  Raises `Faulty` if it does not fit those before."""
        try:
            content = outline(line)
        except ValueError as error:
            raise Faulty(Fault("malformed", LOG, str(error), index)) from error
        if isinstance(content, Heads):
            self._compare(index, content)  # control: heads-compared
            return content
        service, number, previous = content
        stands = self.stands.get(service, GENESIS)
        if (number - 1, previous) != stands:  # control: record-continues-its-journal
            self._refuse(index, content, stands, hash_of(line))
        self.stands[service] = Link(number, hash_of(line))
        return content

    @staticmethod
    def _refuse(index: int, record: Outline, stands: Link, hashed: str) -> NoReturn:
        service, number, _ = record
        if number == stands.records + 1:
            text = f"record {number} does not name the record that was delivered before it"
            raise Faulty(Fault("changed", service, text, index, service, max(stands.records, 1)))
        if number > stands.records:
            text = f"record {number} follows record {stands.records}"
            raise Faulty(Fault("missing", LOG, text, index, service, stands.records + 1))
        what: What = "duplicated" if Link(number, hashed) == stands else "forked"
        raise Faulty(Fault(what, LOG, f"a second record {number} of one journal", index, service, number))

    def _compare(self, index: int, heads: Heads) -> None:
        differ = [one for one in {*self.stands, *heads.journals} if heads.journals.get(one) != self.stands.get(one)]
        for service in sorted(differ):
            told, stands = heads.journals.get(service, GENESIS), self.stands.get(service, GENESIS)
            text = f"the heads say {told.records} records, and before them are {stands.records}"
            if told.records > stands.records:
                raise Faulty(Fault("missing", LOG, text, index, service, stands.records + 1))
            text = text if told.records < stands.records else "the heads have another hash of it"
            raise Faulty(Fault("changed", LOG, text, index, service, max(told.records, 1)))


class Hashes:
    """The hashes of the leaves."""

    def __init__(self) -> None:
        self._joined = bytearray()

    def add(self, hashes: bytes) -> None:
        self._joined += hashes

    def __getitem__(self, leaf: int) -> bytes:
        return bytes(self._joined[leaf * HASH : (leaf + 1) * HASH])

    def index_of(self, line: bytes | None) -> int | None:
        """Return the index of the first leaf that equals this line; None if none does."""
        if line is None:
            return None
        hashed = leaf_hash(line)
        at = self._joined.find(hashed)
        while at > 0 and at % HASH:
            at = self._joined.find(hashed, at + 1)
        return None if at < 0 else at // HASH


def difference(
    index: int, lines: Iterator[bytes | None], hashes: Hashes, stands: Mapping[str, Link], source: str
) -> Fault:
    """Return the fault at the leaf `index`, where another line is.

    `lines`: from that line on, without newlines; None for a line that has none.  `stands`: where each journal stands
    before that leaf.  `source`: the one at fault.
    """
    line, following = next(lines, None), list(islice(lines, 1))
    same, gone = hashes.index_of(line), MissingRecords(stands)
    after = hashes.index_of(following[0]) if following else None
    skipped = same is not None and same > index and (after is None or after > same)
    if skipped:
        gone.read(line)
    later = None
    for one in chain(following, lines):
        if one is not None and leaf_hash(one) == hashes[index]:
            later = one
            break
        gone.read(one)
    what, why = _kind(index, same, later=later is not None, skipped=skipped, ended=line is None and not following)
    record = identify(line) if what in {"inserted", "duplicated"} else identify(later) if later else gone.record
    more = "" if later else gone.text
    return Fault(what, source, why + more, index, *(record or (None, None)))


def surplus(index: int, line: bytes | None, hashes: Hashes, source: str) -> Fault:
    """Return the fault of a line after the last leaf."""
    what: What = "inserted" if hashes.index_of(line) is None else "duplicated"
    return Fault(what, source, "a line after the last leaf", index, *(identify(line) or (None, None)))


def identify(line: bytes | None) -> tuple[str, int] | None:
    """Return the service and the number of a record; None for any other line."""
    record = record_of(line)
    return (record.service, record.number) if record else None


def _kind(index: int, same: int | None, *, later: bool, skipped: bool, ended: bool) -> tuple[What, str]:
    """Return the kind of fault; `same`: the leaf that the line equals; `later`: whether the right line follows it."""
    if ended:
        return "truncated", "the lines end here"
    if same is None:
        return (
            ("inserted", "a line that is not a leaf")
            if later
            else ("changed", "its hash does not match the signed hash")
        )
    if later:
        return "duplicated" if same < index else "reordered", f"leaf {same} is in its place"
    return "missing" if skipped else "changed", f"leaf {same} is in its place"


class MissingRecords:
    """Finds the records that were before later leaves, and are not there: of each journal, the first."""

    def __init__(self, stands: Mapping[str, Link]) -> None:
        self._first = dict[str, int]()
        self._numbers = {service: link.records for service, link in stands.items()}

    @property
    def record(self) -> tuple[str, int] | None:
        """The first missing record, if only one journal misses any."""
        return next(iter(self._first.items())) if len(self._first) == 1 else None

    @property
    def text(self) -> str:
        """The first missing record of each journal, in words, if several journals miss any."""
        several = [f"record {number} of {service}" for service, number in sorted(self._first.items())]
        return f"; gone are {', '.join(several)}" if len(several) > 1 else ""

    def read(self, line: bytes | None) -> None:
        try:
            content = outline(line or b"")
        except ValueError:
            return
        if isinstance(content, Outline):
            self._expect(content.service, content.number - 1)
            self._numbers[content.service] = content.number
        else:
            for service, link in content.journals.items():
                self._expect(service, link.records)

    def _expect(self, service: str, number: int) -> None:
        """Note a gap, unless `number` records of a service were read."""
        if number > (had := self._numbers.get(service, 0)):
            self._first.setdefault(service, had + 1)


class LoggedRecords:
    """The records of one journal that the log has: 40 bytes for each."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.hashes, self.leaves = bytearray(), array("Q")

    @property
    def last(self) -> int:
        return len(self.leaves)

    def add(self, leaf: int, head: str) -> None:
        self.leaves.append(leaf)
        self.hashes += bytes.fromhex(head)

    def fault(self, what: What, record: int, why: str) -> Fault:
        leaf = self.leaves[record - 1] if record <= self.last else None
        return Fault(what, self.service, why, leaf, self.service, record)


def compare(delivered: LoggedRecords, lines: Iterable[bytes], first: int = 1) -> tuple[Fault | None, int]:
    """Return the first fault of a journal, and how many of its records are not in the log yet.

    `lines`: of the journal, from record `first` on: closed segments are deleted, once the ledger has them.
    """
    number, head = first - 1, ""
    for number, line in enumerate(lines, first):
        content = record_of(line)
        if not content or (content.service, content.number) != (delivered.service, number):
            return delivered.fault("changed", number, "the journal has another line in its place"), 0
        before, head = head, hash_of(line)
        known = delivered.hashes[(number - 1) * HASH : number * HASH]
        if number <= delivered.last and bytes.fromhex(head) != known:  # control: journal-as-delivered
            return delivered.fault("changed", number, "the journal has another record than was delivered"), 0
        if before and content.previous != before:
            changed = max(number - 1, delivered.last + 1)  # what was delivered is as it was
            return delivered.fault("changed", changed, "the chain of the journal is broken there"), 0
    if number < delivered.last:
        return delivered.fault("truncated", number + 1, "the journal ends before it"), 0
    return None, number - delivered.last
