"""Reads the folder of a log (c2sp.org/tlog-tiles), also while the ledger writes to it."""

from pathlib import Path

from zerotrust.tlog.note import Note, parsed
from zerotrust.tlog.tiles import WIDTH, bundle, entries_of
from zerotrust.tlog.tree import HASH, InvalidLog

PARTIAL = ".p"


class LogFolderError(Exception):
    """The folder cannot be read.  The text names the cause and the next step."""


class LogFolder:
    """The files of a log.  All methods raise `LogFolderError`."""

    def __init__(self, folder: Path) -> None:
        """Read the checkpoint, which is older than every file that is read later."""
        self.folder = folder
        if not (folder / "checkpoint").is_file():
            raise LogFolderError(
                f"There is no log in {folder}: it has no checkpoint.  `make up` starts the ledger, which keeps it; "
                "--log names another folder."
            )
        try:
            self.note: Note = parsed(self.read("checkpoint"))
        except InvalidLog as error:
            raise LogFolderError(f"{folder}/checkpoint cannot be read: {error}.") from error

    def read(self, path: str) -> bytes:
        """Return a file.  A partial tile is taken from the full one, once that is there."""
        try:
            return (self.folder / path).read_bytes()
        except FileNotFoundError as error:
            full, partial, width = path.partition(f"{PARTIAL}/")
            if not partial:
                raise LogFolderError(f"{self.folder}/{path} is missing.") from error
            return _part(self.read(full), int(width), entries="/entries/" in full)
        except OSError as error:
            raise LogFolderError(f"{self.folder}/{path} cannot be read: {error.strerror}.") from error


def _part(tile: bytes, width: int, *, entries: bool) -> bytes:
    return bundle(entries_of(tile, WIDTH)[:width]) if entries else tile[: width * HASH]
