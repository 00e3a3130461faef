"""Writes files that are on the disk whole, or not at all, also after a crash at any moment.  Blocks."""

import os
from contextlib import suppress
from pathlib import Path

UNFINISHED = ".new"
"""Ends the name of a file that is being written.  After a crash, such a file does not count."""


def write_file(path: Path, content: bytes, *, by: Path | None = None) -> None:
    """Write a file that only its owner may read, and replace an older file; its name is durable after `sync_folder`.

    `by`: the unfinished file, on the same file system; otherwise it lies beside `path`.  Raises `OSError`, and then
    `path` is what it was.
    """
    unfinished = by or path.with_name(path.name + UNFINISHED)
    unfinished.unlink(missing_ok=True)
    fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        _write_all(fd, content)
        os.fsync(fd)
    except OSError:
        with suppress(OSError):
            unfinished.unlink()
        raise
    finally:
        os.close(fd)
    unfinished.rename(path)


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on the disk.  Raises `OSError`, and then it is unknown whether they are."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_all(fd: int, content: bytes) -> None:
    """Write all of it: the kernel may take a part at a time."""
    left = memoryview(content)
    while left:
        left = left[os.write(fd, left) :]
