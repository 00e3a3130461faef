"""What code is this? One digest over every file of some folders.

Every file, not `*.py` alone: a stray `.pyc`, a template or a shared library runs or steers the code just as well.
"""

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

BYTECODE_CACHES = frozenset({"__pycache__"})


class MeasureError(Exception):
    """These folders cannot be measured: one is missing, or holds what is neither a file nor a folder."""


def measure(root: Path, folders: Iterable[str], *, leave_out: Collection[str] = ()) -> str:
    """Return the digest over all files in `folders`; the same as `digest_of(measure_files(...))`."""
    return digest_of(measure_files(root, folders, leave_out=leave_out))


def measure_files(
    root: Path, folders: Iterable[str], *, leave_out: Collection[str] = BYTECODE_CACHES
) -> dict[str, str]:
    """Return the SHA-256, in hex, of every file in `folders`, by its path relative to `root`.

    Folders of a name in `leave_out` are skipped, at any depth. Raises `MeasureError`.
    """
    try:
        names = sorted(name for folder in folders for name in _files(root, folder, leave_out))
        return {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in names}
    except OSError as error:
        raise MeasureError(f"{error.filename}: {error.strerror}") from error


def digest_of(files: Mapping[str, str]) -> str:
    """Return one SHA-256, in hex, over the names of files and the digests of their contents (hex)."""
    total = hashlib.sha256()
    for name in sorted(files):
        # Two digests of fixed length, so no name can pass for the beginning of a content.
        total.update(hashlib.sha256(os.fsencode(name)).digest())
        total.update(bytes.fromhex(files[name]))
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
