"""The Merkle tree of RFC 9162 (the same as RFC 6962's): hashes, and proofs that need no other entry.  Pure."""

import hashlib
from collections.abc import Callable, Sequence

from zerotrust.errors import ZeroTrustError

HASH = 32
"""Bytes of a hash."""

MAX_PROOF = 63
"""Hashes of a proof: a log of 2^63 entries needs no more (c2sp.org/tlog-witness)."""

EMPTY = hashlib.sha256().digest()
"""The root of a tree without entries."""

Node = Callable[[int, int], bytes]
"""Returns the hash over the `2 ** level` leaves from the leaf `index * 2 ** level` on, for a level and an index."""


class InvalidLog(ZeroTrustError, ValueError):
    """Something of a log is not valid; the text says what."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of an entry (RFC 9162 section 2.1.1)."""
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees (RFC 9162 section 2.1.1)."""
    return hashlib.sha256(b"\1" + left + right).digest()


def root(size: int, node: Node) -> bytes:
    """Return the root of a tree of so many leaves."""
    return _subtree(0, size, node) if size else EMPTY


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """Return the proof that the leaf `index` is in a tree of so many leaves (RFC 9162 section 2.1.3.1)."""
    if not 0 <= index < size:
        raise InvalidLog(f"a log of {size} entries has no entry {index}")
    start, end, found = 0, size, list[bytes]()
    while end - start > 1:
        middle = start + _left_size(end - start)
        if index < middle:
            found.append(_subtree(middle, end, node))
            end = middle
        else:
            found.append(_subtree(start, middle, node))
            start = middle
    return found[::-1]


def consistency_proof(old: int, size: int, node: Node) -> list[bytes]:
    """Return the proof that a tree begins with the one of `old` leaves (RFC 9162 section 2.1.4.1)."""
    if not 0 <= old <= size:
        raise InvalidLog(f"a log of {size} entries never had {old}")
    if old in {0, size}:
        return []
    start, end, found = 0, size, list[bytes]()
    while old != end:
        middle = start + _left_size(end - start)
        if old <= middle:
            found.append(_subtree(middle, end, node))
            end = middle
        else:
            found.append(_subtree(start, middle, node))
            start = middle
    return ([_subtree(start, end, node)] if start else []) + found[::-1]


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> None:
    """Raise `InvalidLog` unless a leaf is in the tree of this root (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        raise InvalidLog(f"a log of {size} entries has no entry {index}")
    here, last, found = index, size - 1, leaf
    for one in proof:
        if not last:
            raise InvalidLog("the inclusion proof is too long")
        if here & 1 or here == last:
            found = node_hash(one, found)
            here, last = _climb_while_even(here, last)
        else:
            found = node_hash(found, one)
        here, last = here >> 1, last >> 1
    if last or found != expected:
        raise InvalidLog(f"entry {index} is not in the tree of this root")


def check_consistency(old: int, old_root: bytes, size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raise `InvalidLog` unless the new tree begins with the old one (RFC 9162 section 2.1.4.2)."""
    if not 0 <= old <= size:
        raise InvalidLog(f"a log of {old} entries cannot become one of {size}")
    if old in {0, size}:
        if proof or old_root != (new_root if old == size else EMPTY):
            raise InvalidLog(f"these are not two roots of one log of {old} entries")
        return
    first, *others = [*([] if old & (old - 1) else [old_root]), *proof] or [b""]
    here, last = _climb_while_odd(old - 1, size - 1)
    before = after = first
    for one in others:
        if not last:
            raise InvalidLog("the consistency proof is too long")
        if here & 1 or here == last:
            before, after = node_hash(one, before), node_hash(one, after)
            here, last = _climb_while_even(here, last)
        else:
            after = node_hash(after, one)
        here, last = here >> 1, last >> 1
    if last or before != old_root or after != new_root:
        raise InvalidLog(f"the log of {size} entries does not begin with the one of {old}")


def _subtree(start: int, end: int, node: Node) -> bytes:
    """Return the hash over the leaves from `start` on, which is a multiple of a power of two not below their number."""
    left, found = end - start, b""
    while left:  # from the right: the smallest perfect subtree comes last
        level = (left & -left).bit_length() - 1
        left -= 1 << level
        part = node(level, start + left >> level)
        found = node_hash(part, found) if found else part
    return found


def _left_size(leaves: int) -> int:
    """Return the largest power of two below a number of leaves: those go to the left."""
    return 1 << (leaves - 1).bit_length() - 1


def _climb_while_even(here: int, last: int) -> tuple[int, int]:
    """Return the place where this subtree is a right one: up to there, it has no neighbour."""
    while here and not here & 1:
        here, last = here >> 1, last >> 1
    return here, last


def _climb_while_odd(here: int, last: int) -> tuple[int, int]:
    while here & 1:
        here, last = here >> 1, last >> 1
    return here, last
