"""Checks the proof of one entry without the log (c2sp.org/tlog-proof).  Pure."""

import base64
import re
from dataclasses import dataclass
from typing import NamedTuple

from zerotrust.limits.strict_json import strict_object
from zerotrust.tlog.checkpoint import Checkpoint
from zerotrust.tlog.note import MAX_NOTE, Note, decode_base64, parse_note
from zerotrust.tlog.quorum import TrustPolicy
from zerotrust.tlog.tree import HASH, MAX_PROOF, InvalidLog, check_inclusion, leaf_hash

FORMAT = "c2sp.org/tlog-proof@v1"
MAX_EXTRA = 16_384
"""Bytes of a line of extra data, which nothing authenticates and nothing here reads."""
MAX_EVIDENCE = 256 * 1024
"""Bytes of an entry and its proof: an entry has at most 64 KiB, and so has the checkpoint in a proof."""

_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Proof:
    """The proof that an entry is in a log, with the log's checkpoint; nothing of it has been verified."""

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


def parse_proof(raw: bytes) -> Proof:
    """Parse a proof.  Raises `InvalidLog`."""
    if len(raw) > MAX_NOTE + MAX_EXTRA:
        raise InvalidLog(f"a proof of more than {MAX_NOTE + MAX_EXTRA} bytes")
    head, separator, checkpoint = raw.partition(b"\n\n")
    first, *lines = head.decode(errors="replace").split("\n")
    if lines and lines[0].startswith("extra "):
        decode_base64(lines.pop(0).removeprefix("extra "))
    if first != FORMAT or not separator or not lines or not (index := _INDEX.fullmatch(lines[0])):
        raise InvalidLog(f"not a proof: {FORMAT}, an index, hashes, an empty line, a checkpoint")
    hashes = tuple(map(decode_base64, lines[1:]))
    if len(hashes) > MAX_PROOF or any(len(one) != HASH for one in hashes):
        raise InvalidLog(f"not at most {MAX_PROOF} hashes of {HASH} bytes")
    return Proof(int(index[1]), hashes, parse_note(checkpoint))


class Evidence(NamedTuple):
    """The leaf of the log that has the digest of a receipt, and its proof."""

    entry: bytes
    proof: Proof


def evidence_of(raw: bytes) -> Evidence:
    """Return the evidence in an answer of the ledger: JSON with `entry` and `proof`.  Raises `ValueError`."""
    if len(raw) > MAX_EVIDENCE:
        raise ValueError(f"more than {MAX_EVIDENCE} bytes")
    try:
        found = strict_object(raw)
        return Evidence(found["entry"].encode(), parse_proof(found["proof"].encode()))
    except (KeyError, AttributeError) as error:
        raise ValueError("not an entry of the log with its proof") from error
