"""A log in memory, its key, its witnesses, and RFC 9162's definitions written down as they stand there."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from zerotrust.authority.log import tiles
from zerotrust.authority.log.tiles import HEIGHT, WIDTH
from zerotrust.tlog import tree
from zerotrust.tlog.checkpoint import Checkpoint, cosign_checkpoint, sign_checkpoint
from zerotrust.tlog.note import COSIGNATURE, ED25519, Note, VerifierKey

ORIGIN = "agents.example/audit"


class Keys:
    """A private key, and the public one with its name; the same in each run, for tests are named after them."""

    def __init__(self, name: str, kind: int, seed: str = "") -> None:
        self.private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"{name} {kind} {seed}".encode()).digest())
        self.public = VerifierKey(name, kind, self.private.public_key().public_bytes_raw())


class Log:
    """A log whose files are in memory."""

    def __init__(self, entries: Sequence[bytes] = (), keys: Keys | None = None) -> None:
        self.keys = keys or Keys(ORIGIN, ED25519)
        self.entries = list(entries)
        self.edge, self.files = tiles.append_entries(tiles.Edge(), self.entries)

    def grow(self, *entries: bytes) -> None:
        self.edge, files = tiles.append_entries(self.edge, entries)
        self.entries += entries
        self.files |= files

    def node(self, level: int, index: int) -> bytes:
        return tiles.node_reader(self.files.__getitem__, len(self.entries))(level, index)

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.keys.public.name, len(self.entries), self.edge.root)

    def note(self, *witnesses: Keys, at: int = 1_795_741_378) -> Note:
        """The log's head, as it and these witnesses signed it."""
        note = sign_checkpoint(self.checkpoint, self.keys.public, self.keys.private)
        cosign = partial(cosign_checkpoint, note.text, now=at)
        more = tuple(cosign(one.public, one.private) for one in witnesses)
        return Note(note.text, note.signatures + more)


def witness(name: str) -> Keys:
    return Keys(name, COSIGNATURE)


def mth(leaves: Sequence[bytes]) -> bytes:
    """RFC 9162 section 2.1.1."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    k = split(len(leaves))
    return tree.node_hash(mth(leaves[:k]), mth(leaves[k:]))


def path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """RFC 9162 section 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    return [*path(m, leaves[:k]), mth(leaves[k:])] if m < k else [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: Sequence[bytes], *, whole: bool = True) -> list[bytes]:
    """RFC 9162 section 2.1.4.1."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole=whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], whole=False), mth(leaves[:k])]


def split(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def widths(size: int, level: int) -> Iterator[tuple[int, int]]:
    """Yield index and width of each tile of a level, in a log of so many entries."""
    hashes = size >> HEIGHT * level
    for start in range(0, hashes, WIDTH):
        yield start // WIDTH, min(WIDTH, hashes - start)
