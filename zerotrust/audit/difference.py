"""What was done to an export, where a line is not the leaf whose hash was signed.  Pure."""

from collections.abc import Iterator, Mapping

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

    def index(self, hashed: bytes) -> int | None:
        """Return the first leaf with this hash; None if there is none."""
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
    line, later, ended = next(lines, None), None, True
    behind = _Gap(stands, whole=not hashes.after)
    same = hashes.index(leaf_hash(line)) if line is not None else None
    if same is not None and same > index:
        behind.read(line)
    for one in lines:
        ended = False
        if one is not None and leaf_hash(one) == hashes[index]:
            later = one
            break
        behind.read(one)
    what, why = _kind(index, same, later=later is not None, ended=ended and line is None)
    record = named(line) if what in {"inserted", "duplicated"} else named(later) if later else behind.found
    return Fault(what, source, why, index, *(record or (None, None)))


def surplus(index: int, line: bytes | None, hashes: Hashes, source: str) -> Fault:
    """Return the fault of a line after the last leaf."""
    known = line is not None and hashes.index(leaf_hash(line)) is not None
    record = named(line) or (None, None)
    return Fault("duplicated" if known else "inserted", source, "a line after the last leaf", index, *record)


def named(line: bytes | None) -> tuple[str, int] | None:
    """Return the service and the number of a record; None if it is no record."""
    try:
        content = outline(line or b"")
    except ValueError:
        return None
    return (content.service, content.number) if isinstance(content, Outline) else None


def _kind(index: int, same: int | None, *, later: bool, ended: bool) -> tuple[What, str]:
    """Return what was done; `same` is the leaf that the line is, and `later` whether the right one comes behind it."""
    if ended:
        return "truncated", "the lines end here"
    if same is None:
        return ("inserted", "a line that is no leaf") if later else ("changed", "it has not the hash that was signed")
    if same < index:
        return ("duplicated" if later else "changed"), f"leaf {same} is here once more"
    return ("reordered" if later else "missing"), f"leaf {same} is in its place"


class _Gap:
    """Finds the record that was before later leaves, and is not there."""

    def __init__(self, stands: Mapping[str, Link], *, whole: bool) -> None:
        self.found: tuple[str, int] | None = None
        self._numbers, self._whole = {service: link.records for service, link in stands.items()}, whole

    def read(self, line: bytes | None) -> None:
        try:
            content = outline(line or b"")
        except ValueError:
            return
        if isinstance(content, Outline):
            self._expect(content.service, content.number - 1)
            self._numbers[content.service] = content.number
        else:
            for service, link in sorted(content.journals.items()):
                self._expect(service, link.records)

    def _expect(self, service: str, number: int) -> None:
        """Note a gap, unless so many records of a service were read."""
        had = self._numbers.get(service, 0 if self._whole else number)
        if number > had and not self.found:
            self.found = service, had + 1
