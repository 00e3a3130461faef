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
        for path in sorted(path for folder in folders for path in _files(root / folder, leave_out)):
            # Two digests of fixed length, so no name can pass for the beginning of a content.
            total.update(hashlib.sha256(os.fsencode(path.relative_to(root).as_posix())).digest())
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    except OSError as error:
        raise MeasureError(f"{error.filename}: {error.strerror}") from error
    return total.hexdigest()


def _files(folder: Path, leave_out: Collection[str]) -> Iterator[Path]:
    for path in folder.iterdir():
        # A link's target would run without having been measured; a pipe would keep us waiting for ever.
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise MeasureError(f"{path}: neither a file nor a folder")
        if path.is_file():
            yield path
        elif path.name not in leave_out:
            yield from _files(path, leave_out)
