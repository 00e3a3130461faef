"""What code is this? One digest over every file of some folders.

Every file, not `*.py` alone: a stray `.pyc`, a template or a shared library runs or steers the code just as well.
"""

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

BYTECODE_CACHES = frozenset({"__pycache__"})


class MeasureError(Exception):
    """These folders cannot be measured: one is missing, or holds what is neither a file nor a folder."""


def measure(root: Path, folders: Iterable[str], *, leave_out: Collection[str] = ()) -> str:
    """Return the SHA-256, in hex, over names (relative to `root`) and contents of all files in `folders`.

    Folders of a name in `leave_out` are skipped, at any depth. Raises `MeasureError`.
    """
    total = hashlib.sha256()
    try:
        for name in sorted(name for folder in folders for name in _files(root, folder, leave_out)):
            # Two digests of fixed length, so no name can pass for the beginning of a content.
            total.update(hashlib.sha256(os.fsencode(name)).digest())
            total.update(hashlib.sha256((root / name).read_bytes()).digest())
    except OSError as error:
        raise MeasureError(f"{error.filename}: {error.strerror}") from error
    return total.hexdigest()


def _files(root: Path, folder: str, leave_out: Collection[str]) -> Iterator[str]:
    with os.scandir(root / folder) as entries:
        for entry in entries:
            name = f"{folder}/{entry.name}"
            if entry.is_file(follow_symlinks=False):
                yield name
            elif not entry.is_dir(follow_symlinks=False):
                # A link's target would run without having been measured; a pipe would keep us waiting for ever.
                raise MeasureError(f"{root / name}: neither a file nor a folder")
            elif entry.name not in leave_out:
                yield from _files(root, name, leave_out)
