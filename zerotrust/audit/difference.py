"""What was done to an export, where a line is not the leaf whose hash was signed.  Pure."""

from collections.abc import Iterator, Mapping
from itertools import chain, islice

from zerotrust.audit.fault import Fault, What
from zerotrust.audit.outline import Outline, outline
from zerotrust.audit.record import Link
from zerotrust.tlog.tree import HASH, leaf_hash


class Hashes:
    """The hashes of the leaves from `after` on."""

    def __init__(self, after: int) -> None:
        self.after, self._joined = after, bytearray()

    def add(self, hashes: bytes) -> None:
        self._joined += hashes

    def __getitem__(self, leaf: int) -> bytes:
        at = (leaf - self.after) * HASH
        return bytes(self._joined[at : at + HASH])

    def index_of(self, line: bytes | None) -> int | None:
        """Return the first leaf that a line is; None if it is none."""
        if line is None:
            return None
        hashed = leaf_hash(line)
        at = self._joined.find(hashed)
        while at > 0 and at % HASH:
            at = self._joined.find(hashed, at + 1)
        return None if at < 0 else self.after + at // HASH


def difference(
    index: int, lines: Iterator[bytes | None], hashes: Hashes, stands: Mapping[str, Link], source: str
) -> Fault:
    """Return the fault at the leaf `index`, where another line is.

    `lines`: from that line on, without their newlines, and None for what has none.
    `stands`: where each journal stands before that leaf.  `source`: who is at fault.
    """
    line, following = next(lines, None), list(islice(lines, 1))
    same, gone = hashes.index_of(line), Gone(stands, whole=not hashes.after)
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
    record = named(line) if what in {"inserted", "duplicated"} else named(later) if later else gone.record
    more = "" if later else gone.told
    return Fault(what, source, why + more, index, *(record or (None, None)))


def surplus(index: int, line: bytes | None, hashes: Hashes, source: str) -> Fault:
    """Return the fault of a line after the last leaf."""
    record = named(line) or (None, None)
    return Fault(
        "inserted" if hashes.index_of(line) is None else "duplicated",
        source,
        "a line after the last leaf",
        index,
        *record,
    )


def named(line: bytes | None) -> tuple[str, int] | None:
    """Return the service and the number of a record; None if it is no record."""
    try:
        content = outline(line or b"")
    except ValueError:
        return None
    return (content.service, content.number) if isinstance(content, Outline) else None


def _kind(index: int, same: int | None, *, later: bool, skipped: bool, ended: bool) -> tuple[What, str]:
    """Return what was done; `same` is the leaf that the line is, and `later` whether the right one comes behind it."""
    if ended:
        return "truncated", "the lines end here"
    if same is None:
        return ("inserted", "a line that is no leaf") if later else ("changed", "it has not the hash that was signed")
    if later:
        return "duplicated" if same < index else "reordered", f"leaf {same} is in its place"
    return "missing" if skipped else "changed", f"leaf {same} is in its place"


class Gone:
    """Finds the records that were before later leaves, and are not there: of each journal, the first."""

    def __init__(self, stands: Mapping[str, Link], *, whole: bool) -> None:
        """`whole`: whether a journal of which nothing was read begins with its first record."""
        self._first = dict[str, int]()
        self._numbers, self._whole = {service: link.records for service, link in stands.items()}, whole

    @property
    def record(self) -> tuple[str, int] | None:
        """The one that is gone, if it is one."""
        return next(iter(self._first.items())) if len(self._first) == 1 else None

    @property
    def told(self) -> str:
        """All of them in words, if they are several."""
        several = [f"record {number} of {service}" for service, number in sorted(self._first.items())]
        return f"; gone are {', '.join(several)}" if len(several) > 1 else ""

    def read(self, line: bytes | None) -> None:
        """Note what a line shows."""
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
        """Note a gap, unless so many records of a service were read."""
        had = self._numbers.get(service, 0 if self._whole else number)
        if number > had:
            self._first.setdefault(service, had + 1)
