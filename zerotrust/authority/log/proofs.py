"""Proofs of a log, made of the hashes of its tree (RFC 9162).  Pure.  `tlog/tree.py` checks them."""

from collections.abc import Callable

from zerotrust.tlog.tree import EMPTY, InvalidLog, node_hash

Node = Callable[[int, int], bytes]
"""Returns the hash over the `2 ** level` leaves from the leaf `index * 2 ** level` on, for a level and an index."""


def root(size: int, node: Node) -> bytes:
    """Return the root of a tree of so many leaves."""
    return _subtree(0, size, node) if size else EMPTY


def inclusion_proof(index: int, size: int, node: Node, height: int = 0) -> list[bytes]:
    """Return the proof that the leaf `index` is in a tree of so many leaves (RFC 9162 section 2.1.3.1).

    `height`: it is the proof for the `2 ** height` leaves from `index * 2 ** height` on, or for the last ones.  In the
    tree of such parts, it is like that for a leaf.
    """
    first, start, end, found = index << height, 0, size, list[bytes]()
    if not 0 <= first < size:
        raise InvalidLog(f"a log of {size} entries has no entry {first}")
    while end - start > 1 << height:
        middle = start + _left_size(end - start)
        if first < middle:
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
