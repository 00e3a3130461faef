"""Reads a whole file of a bounded length, without waiting for a writer."""

import errno
import os
import stat
from pathlib import Path


def file_content(path: Path, most: int, *, pipe: bool = False) -> bytes:
    """Return the content of a regular file of at most `most` bytes.  Raises `OSError`, whose `strerror` says why not.

    A pipe blocks its reader until somebody writes, so only people may name one, to their own command (`pipe`).
    """
    with open(path, "rb", opener=None if pipe else _open_at_once) as file:
        if not pipe and not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"more than {most:,} bytes", str(path))
    return content


def _open_at_once(path: str, flags: int) -> int:
    """Open a pipe without waiting for its writer."""
    return os.open(path, flags | os.O_NONBLOCK)
