"""The roots of a log's largest perfect subtrees: all that its next roots take, and 63 hashes at most.  Pure."""

from collections.abc import Iterable

from zerotrust.tlog.tree import EMPTY, InvalidLog, Node, node_hash


class CompactRange:
    """The leaves from the first on, of which only the roots of the largest perfect subtrees are kept."""

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        """`hashes`: of the subtrees over the first `size` leaves, the largest first.  Raises `InvalidLog`."""
        self.size, self.hashes = size, list(hashes)
        if len(self.hashes) != size.bit_count():
            raise InvalidLog(f"{len(self.hashes)} hashes are not those of {size} leaves")

    def add(self, leaf: bytes) -> None:
        """Append the hash of a leaf."""
        left = self.size
        while left & 1:  # two subtrees of one size are one of twice that
            leaf = node_hash(self.hashes.pop(), leaf)
            left >>= 1
        self.hashes.append(leaf)
        self.size += 1

    @property
    def root(self) -> bytes:
        """The root of these leaves (RFC 9162 section 2.1.1)."""
        found = b""
        for subtree in reversed(self.hashes):
            found = node_hash(subtree, found) if found else subtree
        return found or EMPTY


def compact(size: int, node: Node) -> CompactRange:
    """Return the first leaves of a log, from its hashes."""
    start, hashes = 0, list[bytes]()
    while left := size - start:
        level = left.bit_length() - 1
        hashes.append(node(level, start >> level))
        start += 1 << level
    return CompactRange(size, hashes)
