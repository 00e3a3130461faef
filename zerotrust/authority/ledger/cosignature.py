"""Checks what a witness signs (c2sp.org/tlog-witness): only a log that continues the last that it signed.  Pure.

The caller persists the checkpoint before it sends the cosignature, in one step with reading the last.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass

from zerotrust.tlog.checkpoint import Checkpoint, check_signed, checkpoint_of
from zerotrust.tlog.note import MAX_NOTE, Note, VerifierKey, decode_base64, parse_note
from zerotrust.tlog.tree import EMPTY, HASH, MAX_PROOF, InvalidLog, check_consistency

MAX_REQUEST = MAX_NOTE + 4_096
"""Bytes of a request: a note, and 63 hashes in base64."""

SIZE = "text/x.tlog.size"
"""The media type of a conflict's answer."""

KEY_HEADER = "tlog-vkey"
"""Our own header with the log's key, which a checkpoint does not contain: the registry pins it."""

_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


class NotCosigned(InvalidLog):
    """A witness does not sign; `status` is the HTTP answer, and `held` the size that a conflict names."""

    def __init__(self, status: int, why: str, *, held: int | None = None) -> None:
        super().__init__(why)
        self.status, self.held = status, held


@dataclass(frozen=True, slots=True)
class Request:
    """A log's request for a cosignature; nothing in it has been verified."""

    old: int
    """The size that the witness signed last."""
    proof: tuple[bytes, ...]
    checkpoint: Note

    def __str__(self) -> str:
        proof = "".join(f"{base64.b64encode(one).decode()}\n" for one in self.proof)
        return f"old {self.old}\n{proof}\n{self.checkpoint}"


def parse_request(raw: bytes) -> Request:
    """Parse the body of `add-checkpoint`.  Raises `NotCosigned`."""
    try:
        if len(raw) > MAX_REQUEST:
            raise InvalidLog(f"a request of more than {MAX_REQUEST} bytes")
        head, separator, checkpoint = raw.partition(b"\n\n")
        first, *lines = head.decode("ascii", errors="replace").split("\n")
        if not separator or not (old := _OLD.fullmatch(first)) or len(lines) > MAX_PROOF:
            raise InvalidLog(f"not a request: the old size, at most {MAX_PROOF} hashes, an empty line, a checkpoint")
        proof = tuple(map(decode_base64, lines))
        if any(len(one) != HASH for one in proof):
            raise InvalidLog(f"a hash that has not {HASH} bytes")
        return Request(int(old[1]), proof, parse_note(checkpoint))
    except InvalidLog as error:
        raise NotCosigned(400, str(error)) from error


def check_request(asked: Request, logs: Mapping[str, VerifierKey], held: Mapping[str, Checkpoint]) -> Checkpoint:
    """Return the checkpoint to persist and cosign.  Raises `NotCosigned`.

    `logs` has the key of each log by its origin, and `held` the checkpoint that this witness cosigned last.
    """
    try:
        origin = checkpoint_of(asked.checkpoint).origin
    except InvalidLog as error:
        raise NotCosigned(400, str(error)) from error
    if origin not in logs:
        raise NotCosigned(404, f"this witness does not know the log {origin}")
    try:
        new = check_signed(asked.checkpoint, logs[origin])
    except InvalidLog as error:
        raise NotCosigned(403, str(error)) from error
    if asked.old > new.size:
        raise NotCosigned(400, f"the log had {asked.old} entries, and now has {new.size}")
    last = held.get(origin, Checkpoint(origin, 0, EMPTY))
    if asked.old != last.size:  # control: witness-signs-next
        raise NotCosigned(409, f"this witness signed the log last with {last.size} entries", held=last.size)
    try:
        # control: witness-signs-continued
        check_consistency(last.size, last.root, new.size, new.root, asked.proof)
    except InvalidLog as error:
        raise NotCosigned(422, str(error)) from error
    return new
