"""Reads the folder of a log (c2sp.org/tlog-tiles), also while the ledger writes to it."""

from pathlib import Path

from zerotrust.authority.log.tiles import read_part
from zerotrust.tlog.note import Note, parse_note
from zerotrust.tlog.tree import InvalidLog
from zt.errors import CommandError


class LogFolder:
    """The files of a log.  All methods raise `CommandError`."""

    def __init__(self, folder: Path) -> None:
        """Read the checkpoint, which is older than every file that is read later."""
        self.folder = folder
        try:
            begun, there = folder.is_dir(), (folder / "checkpoint").is_file()
        except OSError as error:
            raise CommandError(f"{folder} cannot be read: {error.strerror}.", "log_unreadable") from error
        if begun and not there:
            raise CommandError(
                f"The log in {folder} has no checkpoint yet: the ledger publishes the first one with the first "
                "record.  Run a task, and try again after a second.",
                "log_unreadable",
            )
        if not there:
            raise CommandError(
                f"There is no log in {folder}.  `make up` starts the ledger, which keeps it; --log names "
                "another folder.",
                "log_unreadable",
            )
        try:
            self.note: Note = parse_note(self.read("checkpoint"))
        except InvalidLog as error:
            raise CommandError(f"{folder}/checkpoint cannot be read: {error}.", "log_unreadable") from error

    def read(self, path: str) -> bytes:
        """Return a file.  A partial tile is taken from the full one, once that is there."""
        try:
            return read_part(lambda file: (self.folder / file).read_bytes(), path)
        except FileNotFoundError as error:
            raise CommandError(f"{error.filename} is missing.", "log_unreadable") from error
        except OSError as error:
            raise CommandError(f"{self.folder}/{path} cannot be read: {error.strerror}.", "log_unreadable") from error
