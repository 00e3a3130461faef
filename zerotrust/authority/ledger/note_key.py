"""Keeps the key of a log or a witness in a file: it stays the same for as long as the log lives.  Blocks.

A certificate of the trust domain lives two minutes, and SPIFFE has no long-lived key to hand out.
"""

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from zerotrust.durable import sync_folder, write_file
from zerotrust.errors import ZeroTrustError
from zerotrust.tlog.note import VerifierKey

SEED = 32
"""Bytes of a private key (RFC 8032)."""


class NoteKeyError(ZeroTrustError, OSError):
    """A key cannot be used; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A private key, and the public one by its name."""

    private: Ed25519PrivateKey
    public: VerifierKey


def new_key(path: Path, name: str, kind: int) -> NoteKey:
    """Make a key that signs as `name`, and return it when it is on the disk.  `kind`: the type of its signatures.

    Raises `OSError`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, Ed25519PrivateKey.generate().private_bytes_raw())
    sync_folder(path.parent)
    return load_key(path, name, kind)


def load_key(path: Path, name: str, kind: int) -> NoteKey:
    """Return the key that was made before.  Raises `NoteKeyError`, and `FileNotFoundError` if there is none."""
    if (mode := path.stat().st_mode & 0o777) & 0o077:
        raise NoteKeyError(f"{path} has mode {mode:o}: others may have read the key.  Begin with a new key.")
    if len(seed := path.read_bytes()) != SEED:
        raise NoteKeyError(f"{path} is not a key of {SEED} bytes: restore it, because no other one will do.")
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return NoteKey(private, VerifierKey(name, kind, private.public_key().public_bytes_raw()))
