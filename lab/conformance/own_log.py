"""A transparency log in a folder, as another program reads it."""

import shutil
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from zerotrust.tlog.checkpoint import Checkpoint, signed
from zerotrust.tlog.note import ED25519, Note, VerifierKey
from zerotrust.tlog.tiles import Edge, grown, reader
from zerotrust.tlog.tree import consistency_proof
from zerotrust.tlog.witness import Request

ORIGIN = "agents.example/audit"


class Log:
    """A log in a folder, with a key of its own."""

    def __init__(self, folder: Path, entries: list[bytes]) -> None:
        self.folder, self.entries, self.edge, self.files = folder, list[bytes](), Edge(), dict[str, bytes]()
        self.signer = Ed25519PrivateKey.generate()
        self.key = VerifierKey(ORIGIN, ED25519, self.signer.public_key().public_bytes_raw())
        self.grow(entries)

    def grow(self, entries: list[bytes]) -> None:
        """Add entries, and write the files that a checkpoint of now needs."""
        self.edge, files = grown(self.edge, entries)
        self.entries += entries
        self.files |= files
        for path, content in files.items():
            (file := self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        self.publish(self.note())

    def note(self) -> Note:
        """Return the checkpoint as the log signs it."""
        return signed(Checkpoint(ORIGIN, self.edge.size, self.edge.root), self.key, self.signer)

    def publish(self, note: Note) -> None:
        """Write the checkpoint."""
        (self.folder / "checkpoint").write_text(str(note))

    def asking(self, old: int) -> Request:
        """Return the request for a witness that knows the first `old` entries."""
        node = reader(self.files.__getitem__, self.edge.size)
        return Request(old, tuple(consistency_proof(old, self.edge.size, node)), self.note())


def emptied(folder: Path) -> Path:
    """Return a folder with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    return folder
