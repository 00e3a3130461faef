"""Verifies an export of the log, and names the first fault and who made it.  Pure; the keys are those of a policy.

The signed checkpoint vouches for the hashes, and the hashes for the leaves: what differs from them was changed in the
export.  The log states what is under the signed root, which has to be consistent (`fault.JournalPositions`).
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice
from typing import NamedTuple, Protocol

from evidence.export import IN_A_LINE, MOST_LEAVES, hashes_of, header_of
from evidence.fault import EXPORT, LOG, Fault, Faulty, Hashes, JournalPositions, difference, identify, surplus
from zerotrust.audit.record import Link
from zerotrust.authority.ledger.leaf import Heads, Outline
from zerotrust.tlog.checkpoint import Checkpoint
from zerotrust.tlog.note import Note
from zerotrust.tlog.tree import EMPTY, HASH, InvalidLog, leaf_hash, node_hash


class CompactRange:
    """The leaves from the first on, of which only the roots of the largest perfect subtrees are kept.

    They are 63 hashes at most, and enough for all its next roots.
    """

    def __init__(self) -> None:
        self.size, self._hashes = 0, list[bytes]()

    def add(self, leaf: bytes) -> None:
        left = self.size
        while left & 1:  # two subtrees of one size are one of twice that
            leaf = node_hash(self._hashes.pop(), leaf)
            left >>= 1
        self._hashes.append(leaf)
        self.size += 1

    @property
    def root(self) -> bytes:
        """The root of these leaves (RFC 9162 section 2.1.1)."""
        found = b""
        for subtree in reversed(self._hashes):
            found = node_hash(subtree, found) if found else subtree
        return found or EMPTY


class Trust(Protocol):
    """Decides which signatures are enough: a policy (`tlog.quorum`)."""

    def check(self, note: Note) -> tuple[Checkpoint, dict[str, int]]:
        """Return the checkpoint in a note, and when each witness cosigned it.  Raises `InvalidLog`."""


class Leaf(NamedTuple):
    """A leaf that is under the signed root, and fits the leaves before it."""

    at: int
    """Its place in the log, from 0."""
    content: Outline | Heads
    line: bytes


class Verification:
    """One pass over an export: the checkpoint and the hashes at once, the leaves by `leaves`."""

    def __init__(self, lines: Iterator[bytes], policy: Trust, *, source: str = EXPORT) -> None:
        """Read the header and the hashes.  Raises `Faulty`.

        `lines`: each with its newline.
        `source`: the one at fault if a line is not as signed.
        """
        self._lines, self._source = lines, source
        self.checkpoint, self.cosigned = _check_header(next(lines, b""), policy, source)
        """`cosigned`: when each witness did it, in seconds since the epoch."""
        if (leaves := self.checkpoint.size) > MOST_LEAVES:
            raise Faulty(Fault("malformed", source, f"{leaves} leaves, and an export has at most {MOST_LEAVES}"))
        self._hashes, self._followed = Hashes(), JournalPositions()
        self._signed = self._read_hashes() == self.checkpoint.root

    @property
    def journals(self) -> dict[str, Link]:
        """Where each journal stands after the last leaf that was read."""
        return self._followed.stands

    def leaves(self) -> Iterator[Leaf]:
        """Yield each leaf, once it is verified.  Raises `Faulty` at the first that is not as it has to be."""
        if not self._signed:  # control: hashes-as-signed
            raise Faulty(self._without_hashes())
        last: Outline | Heads | None = None
        for index in range(self.checkpoint.size):
            line = _leaf(next(self._lines, b""))
            if line is None or leaf_hash(line) != self._hashes[index]:  # control: leaf-as-signed
                rest = islice(self._lines, self.checkpoint.size - index)  # a file may be without end
                lines = chain([line], map(_leaf, rest))
                raise Faulty(difference(index, lines, self._hashes, self.journals, self._source))
            last = self._followed.read(index, line)  # control: leaves-followed
            yield Leaf(index, last, line)
        if more := next(self._lines, b""):  # control: nothing-after-the-last-leaf
            raise Faulty(surplus(self.checkpoint.size, _leaf(more), self._hashes, self._source))
        if isinstance(last, Outline):  # control: heads-at-the-end
            raise Faulty(
                Fault("missing", LOG, "its last leaf does not list the heads of all journals", self.checkpoint.size)
            )

    def _read_hashes(self) -> bytes:
        """Return the root of the hashes."""
        size, tree = self.checkpoint.size, CompactRange()
        for start in range(0, size, IN_A_LINE):
            hashes = self._line_of_hashes(start, min(IN_A_LINE, size - start))
            self._hashes.add(hashes)
            for at in range(0, len(hashes), HASH):
                tree.add(hashes[at : at + HASH])
        return tree.root

    def _line_of_hashes(self, start: int, wanted: int) -> bytes:
        try:
            hashes = hashes_of(next(self._lines, b""))
        except InvalidLog as error:
            text = f"{error}, where the hashes of leaf {start} and those after it belong"
            raise Faulty(Fault("malformed", self._source, text, start)) from error
        if (count := len(hashes) // HASH) != wanted:
            text = f"a line has {count} hashes where {wanted} belong"
            raise Faulty(Fault("malformed", self._source, text, start + min(count, wanted)))
        return hashes

    def _without_hashes(self) -> Fault:
        """Return the fault of an export whose hashes are not those that were signed."""
        tree, first = CompactRange(), None
        for index in range(self.checkpoint.size):
            raw = next(self._lines, b"")
            tree.add(hashed := leaf_hash(raw[:-1]) if raw.endswith(b"\n") else b"")
            if first:
                continue
            if hashed != self._hashes[index]:
                text = "its hash does not match the list, and the list's root does not match the signed root"
                record = identify(_leaf(raw)) or (None, None)
                first = Fault("changed" if raw else "truncated", self._source, text, index, *record)
            else:
                first = self._own_fault(index, raw[:-1])
        if not first:
            text = "leaves and hashes fit each other, but they are not the tree that was signed"
            return Fault("forked", self._source, text)
        if tree.root != self.checkpoint.root:
            return first
        return replace(first, why="its hash in the list was changed; the leaf is as it was signed")

    def _own_fault(self, index: int, line: bytes) -> Fault | None:
        """Return the fault of an unsigned leaf that does not fit those before it."""
        try:
            self._followed.read(index, line)
        except Faulty as faulty:
            return replace(faulty.fault, who=self._source)
        return None


def _check_header(line: bytes, policy: Trust, source: str) -> tuple[Checkpoint, dict[str, int]]:
    try:
        header = header_of(line)
    except InvalidLog as error:
        raise Faulty(Fault("malformed", source, f"line 1: {error}")) from error
    try:
        return policy.check(header.checkpoint)
    except InvalidLog as error:
        raise Faulty(Fault("unsigned", source, str(error))) from error


def _leaf(line: bytes) -> bytes | None:
    """Return a line without its newline; None if it has none, because it is too long or the file ends within it."""
    return line[:-1] if line.endswith(b"\n") else None
