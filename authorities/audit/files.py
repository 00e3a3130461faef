"""The files of the log (c2sp.org/tlog-tiles), each of which is on the disk whole, or not at all.  Blocks."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from zerotrust.authority.log.tiles import HEIGHT, WIDTH, read_part, tile_path
from zerotrust.durable import sync_folder, write_file
from zerotrust.tlog.note import MAX_NOTE, Note, parse_note

CHECKPOINT = "checkpoint"
UNFINISHED = "unfinished"
"""The name of a file while it is written: one in the log's folder, too, which may be a file system of its own."""


class Files:
    """The files in a folder that one process writes: the log in `log/`, and beside it the next checkpoint."""

    def __init__(self, folder: Path) -> None:
        """Lock the folder, which is made if need be.  Raises `BlockingIOError` if another process has it."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._log = folder, folder / "log"
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise
        self._durable = {folder}  # folders whose names are known to be on the disk

    def close(self) -> None:
        with suppress(OSError):
            os.close(self._lock)

    @property
    def key(self) -> Path:
        """The file of the log's key, which is not part of the log."""
        return self._folder / "log.key"

    def read(self, name: str) -> bytes:
        """Return a file of the log; for a partial tile that a full one has replaced, that part of the full one.

        Raises `OSError`, and `InvalidLog` for a malformed full one.
        """
        return read_part(lambda file: (self._log / file).read_bytes(), name)

    def add(self, files: Mapping[str, bytes]) -> None:
        """Write files of the log; they are durable when this returns.  Raises `OSError`: then some may be there."""
        for name, content in files.items():
            file = self._log / name
            self._make(file.parent)
            write_file(file, content, by=self._log / UNFINISHED)
        for folder in dict.fromkeys((self._log / name).parent for name in files):
            sync_folder(folder)

    def checkpoints(self) -> tuple[Note | None, Note | None]:
        """Return the published checkpoint, and the next.  Raises `OSError` and `InvalidLog`."""
        return _note(self._log / CHECKPOINT), _note(self._folder / "pending")

    def pend(self, note: Note) -> None:
        """Write the next checkpoint: from now on, the log goes on with it or not at all.  Raises as `_write`."""
        self._write(self._folder / "pending", note)

    def publish(self, note: Note) -> None:
        """Write the published checkpoint.  Raises as `_write`."""
        self._make(self._log)
        self._write(self._log / CHECKPOINT, note)

    def prune(self, size: int, added: int) -> None:
        """Remove partial tiles that full tiles have replaced since `added` entries ago.  A file that resists stays.

        A tile that stays does no harm: `read` takes the full one instead.
        """
        for name in _filled_tiles(size, added):
            folder = self._log / f"{name}.p"
            with suppress(OSError):
                for file in folder.iterdir():
                    file.unlink()
                folder.rmdir()
            self._durable.discard(folder)

    def _write(self, file: Path, note: Note) -> None:
        """Write a note that every reader can read.  Raises `OSError`, and `InvalidLog` for another one."""
        parse_note(content := str(note).encode())
        write_file(file, content, by=file.parent / UNFINISHED)
        sync_folder(file.parent)

    def _make(self, folder: Path) -> None:
        """Make a folder and those above it, and sync their names, which a crash may have left unsynced."""
        if folder in self._durable:
            return
        self._make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)
        self._durable.add(folder)


def _note(file: Path) -> Note | None:
    try:
        with file.open("rb") as opened:
            return parse_note(opened.read(MAX_NOTE + 1))
    except FileNotFoundError:
        return None


def _filled_tiles(size: int, added: int) -> Iterator[str]:
    """Yield the paths of the tiles that were filled by the last entries of a log of this size."""
    level = 0
    while size >> HEIGHT * level:
        first = (max(0, size - added) >> HEIGHT * level) // WIDTH
        for index in range(first, (size >> HEIGHT * level) // WIDTH):
            yield tile_path(level, index)
            if not level:
                yield tile_path("entries", index)
        level += 1
