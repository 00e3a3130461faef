"""The Merkle tree of RFC 9162 (the same as RFC 6962's): hashes, and how proofs are checked.  Pure."""

import hashlib
from collections.abc import Sequence

from zerotrust.errors import ZeroTrustError

HASH = 32
"""Bytes of a hash."""

MAX_PROOF = 63
"""Hashes of a proof: a log of 2^63 entries needs no more (c2sp.org/tlog-witness)."""

EMPTY = hashlib.sha256().digest()
"""The root of a tree without entries."""


class InvalidLog(ZeroTrustError, ValueError):
    """A part of a log is not valid; the text names it."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of an entry (RFC 9162 section 2.1.1)."""
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees (RFC 9162 section 2.1.1)."""
    return hashlib.sha256(b"\1" + left + right).digest()


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
        if proof or old_root != (new_root if old else EMPTY) or (not size and new_root != EMPTY):
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


def _climb_while_even(here: int, last: int) -> tuple[int, int]:
    """Return the first place, from here up, that is a right subtree."""
    while here and not here & 1:
        here, last = here >> 1, last >> 1
    return here, last


def _climb_while_odd(here: int, last: int) -> tuple[int, int]:
    while here & 1:
        here, last = here >> 1, last >> 1
    return here, last
