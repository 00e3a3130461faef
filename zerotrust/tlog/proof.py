"""The evidence for one entry, verified without the log (c2sp.org/tlog-proof).  Pure."""

import base64
import re
from dataclasses import dataclass

from zerotrust.tlog.checkpoint import Checkpoint
from zerotrust.tlog.note import MAX_NOTE, Note, decoded, parsed
from zerotrust.tlog.quorum import TrustPolicy
from zerotrust.tlog.tree import HASH, MAX_PROOF, InvalidLog, check_inclusion, leaf_hash

FORMAT = "c2sp.org/tlog-proof@v1"
MAX_EXTRA = 16_384
"""Bytes of a line of extra data, which nothing authenticates and nothing here reads."""

_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Proof:
    """That an entry is in a log, from the checkpoint of that log; nothing of it has been verified."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: Note

    def check(self, entry: bytes, policy: TrustPolicy) -> tuple[Checkpoint, dict[str, int]]:
        """Return the checkpoint and when each witness cosigned it, if the entry is in the log.  Raises `InvalidLog`."""
        found, times = policy.check(self.checkpoint)
        check_inclusion(leaf_hash(entry), self.index, found.size, self.hashes, found.root)
        return found, times

    def __str__(self) -> str:
        hashes = "".join(f"{base64.b64encode(one).decode()}\n" for one in self.hashes)
        return f"{FORMAT}\nindex {self.index}\n{hashes}\n{self.checkpoint}"


def proof(raw: bytes) -> Proof:
    """Parse a proof.  Raises `InvalidLog`."""
    if len(raw) > MAX_NOTE + MAX_EXTRA:
        raise InvalidLog(f"a proof of more than {MAX_NOTE + MAX_EXTRA} bytes")
    head, separator, checkpoint = raw.partition(b"\n\n")
    first, *lines = head.decode(errors="replace").split("\n")
    if lines and lines[0].startswith("extra "):
        decoded(lines.pop(0).removeprefix("extra "))
    if first != FORMAT or not separator or not lines or not (index := _INDEX.fullmatch(lines[0])):
        raise InvalidLog(f"not a proof: {FORMAT}, an index, hashes, an empty line, a checkpoint")
    hashes = tuple(map(decoded, lines[1:]))
    if len(hashes) > MAX_PROOF or any(len(one) != HASH for one in hashes):
        raise InvalidLog(f"not at most {MAX_PROOF} hashes of {HASH} bytes")
    return Proof(int(index[1]), hashes, parsed(checkpoint))
