"""The user as a witness of logs (c2sp.org/tlog-witness): one checkpoint of each log is kept on the user's disk.

A witness signs only what continues the checkpoint that it signed last, and keeps it before the signature leaves.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zerotrust.authority.cosignature import NotCosigned, Request, check_request
from zerotrust.authority.log.proofs import consistency_proof
from zerotrust.authority.log.tiles import node_reader
from zerotrust.authority.note_key import NoteKey, load_key, new_key
from zerotrust.durable import sync_folder, write_file
from zerotrust.tlog.checkpoint import Checkpoint, check_signed, checkpoint_of, cosign_checkpoint
from zerotrust.tlog.note import COSIGNATURE, Signature, VerifierKey, parse_note
from zerotrust.tlog.tree import InvalidLog
from zt.audit.log_folder import LogFolder
from zt.errors import CommandError

NAME = "zt"
"""Of the key; a policy calls a witness what it likes."""


def default_folder() -> Path:
    """Return where the witness keeps its key and the checkpoints."""
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(os.environ.get("ZT_WITNESS") or Path(config) / "zt" / "witness")


class Witness:
    """The key of one user, and the last checkpoint of each log."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made, with a new key, when the witness signs for the first time."""
        self._folder = folder

    def last_checkpoints(self, logs: Iterable[VerifierKey]) -> dict[str, Checkpoint]:
        """Return what was cosigned last of these logs, by their names.  Raises `CommandError`."""
        keys = dict[str, list[VerifierKey]]()
        for key in logs:
            keys.setdefault(key.name, []).append(key)
        return {name: kept for name, known in keys.items() if (kept := self._read_checkpoint(name, known))}

    def _read_checkpoint(self, origin: str, keys: list[VerifierKey]) -> Checkpoint | None:
        path = self._path(origin)
        try:
            note = parse_note(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, InvalidLog) as error:
            raise CommandError(
                f"{path} cannot be read: {error}.  Restore it: without it, no fork is seen.", "not_cosigned"
            ) from error
        for key in keys:
            with suppress(InvalidLog):
                return check_signed(note, key)
        raise CommandError(
            f"Another key signed {path} than the policy has for {origin}: the log was replaced, or the policy.  Once "
            "an operator has confirmed the new log, delete that file.",
            "not_cosigned",
        )

    def cosign(self, log: LogFolder, logs: tuple[VerifierKey, ...]) -> tuple[NoteKey, Signature]:
        """Keep the checkpoint of a log, and return what is signed.  Raises `CommandError`.

        `logs`: the keys that the log may have, as the policy says.
        """
        try:
            with self._locked_key() as key:
                origin, size = checkpoint_of(log.note).origin, checkpoint_of(log.note).size
                held = self.last_checkpoints(logs)
                old = held[origin].size if origin in held else 0
                if old > size:
                    raise CommandError(
                        f"The log in {log.folder} has {size} leaves, and this witness has cosigned {old}: it is an "
                        "older state, such as a restored backup.  Nothing was signed.",
                        "not_cosigned",
                    )
                proof = consistency_proof(old, size, node_reader(log.read, size))
                check_request(Request(old, tuple(proof), log.note), {one.name: one for one in logs}, held)
                write_file(self._path(origin), str(log.note).encode())
                sync_folder(self._folder)
                return key, cosign_checkpoint(log.note.text, key.public, key.private, int(time.time()))
        except NotCosigned as error:
            raise CommandError(f"The log in {log.folder} is not cosigned: {error}.", "not_cosigned") from error
        except (OSError, InvalidLog) as error:
            raise CommandError(f"The witness in {self._folder} cannot sign: {error}.", "not_cosigned") from error

    @contextmanager
    def _locked_key(self) -> Iterator[NoteKey]:
        """Hold the lock, and yield the key: of two signers, each would sign what the other does not know."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            path = self._folder / "key"
            yield load_key(path, NAME, COSIGNATURE) if path.exists() else new_key(path, NAME, COSIGNATURE)
        finally:
            os.close(lock)

    def _path(self, origin: str) -> Path:
        return self._folder / f"{hashlib.sha256(origin.encode()).hexdigest()[:32]}.checkpoint"
