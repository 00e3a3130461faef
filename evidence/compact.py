"""The roots of a log's largest perfect subtrees: at most 63 hashes, and enough for all its next roots.  Pure."""

from zerotrust.tlog.tree import EMPTY, node_hash


class CompactRange:
    """The leaves from the first on, of which only the roots of the largest perfect subtrees are kept."""

    def __init__(self) -> None:
        self.size, self._hashes = 0, list[bytes]()

    def add(self, leaf: bytes) -> None:
        """Append the hash of a leaf."""
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
