"""Reads and signs the head of a log (c2sp.org/tlog-checkpoint), and cosignatures (c2sp.org/tlog-cosignature).  Pure."""

import base64
import re
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from zerotrust.tlog.note import COSIGNATURE, ED25519, Note, Signature, VerifierKey, decode_base64
from zerotrust.tlog.tree import HASH, InvalidLog

MAX_SIZE = 2**63 - 1
"""Leaves of a log (c2sp.org/tlog-checkpoint)."""
_LINES = 3
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_COSIGNED = 8 + 64
"""Bytes of a cosignature: its time, and an Ed25519 signature."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How many entries a log has, and their root; `origin` names the log."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed.  It has no extension lines, because no auditor could check them."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def checkpoint_of(note: Note) -> Checkpoint:
    """Return the checkpoint in a note, whose signatures have to be verified.  Raises `InvalidLog`."""
    origin, *lines = note.text.removesuffix("\n").split("\n")
    if len(lines) != _LINES - 1 or not origin or not _SIZE.fullmatch(lines[0]):
        raise InvalidLog("not a checkpoint: origin, size, root")
    found = Checkpoint(origin, int(lines[0]), decode_base64(lines[1]))
    if found.size > MAX_SIZE or len(found.root) != HASH:
        raise InvalidLog("a checkpoint with a size or a root that no log has")
    return found


def sign_checkpoint(checkpoint: Checkpoint, key: VerifierKey, signer: Ed25519PrivateKey) -> Note:
    """Return a checkpoint as its log signs it."""
    signature = Signature(key.name, key.key_id, signer.sign(checkpoint.text.encode()))
    return Note(checkpoint.text, (signature,))


def check_signed(note: Note, key: VerifierKey) -> Checkpoint:
    """Return the checkpoint in a note, if its log signed it with this key.  Raises `InvalidLog`."""
    found = checkpoint_of(note)
    if key.kind != ED25519 or found.origin != key.name:
        raise InvalidLog(f"{key.name} is not the key of the log {found.origin}")
    if not (values := list(note.by(key))):
        raise InvalidLog(f"the checkpoint is not signed by {key.name}")
    for value in values:  # control: log-signature
        key.verify(value, note.text.encode())
    return found


def cosign_checkpoint(text: str, key: VerifierKey, signer: Ed25519PrivateKey, now: int) -> Signature:
    """Return a witness's cosignature of a checkpoint; `now` in seconds since the epoch."""
    return Signature(key.name, key.key_id, now.to_bytes(8, "big") + signer.sign(_statement(text, now)))


def cosignature_time(note: Note, key: VerifierKey) -> int | None:
    """Return when a witness first cosigned a checkpoint, in seconds since the epoch; None if it did not.

    Raises `InvalidLog` if a signature in its name is not its own.
    """
    if key.kind != COSIGNATURE:
        raise InvalidLog(f"{key.name} is not the key of a witness")
    times = []
    for value in note.by(key):
        if len(value) != _COSIGNED:
            raise InvalidLog(f"not a cosignature of {key.name}")
        times.append(time := int.from_bytes(value[:8], "big"))
        key.verify(value[8:], _statement(note.text, time))  # control: cosignature
    return min(times, default=None)


def _statement(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()
