"""Measures code: the SHA-256 of every file of some folders, and one digest over all of them.

Every file, not only `*.py`: a stray `.pyc`, a template or a shared library can run or steer the code just as well.
"""

import errno
import hashlib
import os
import stat
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

BYTECODE_CACHES = frozenset({"__pycache__"})
NAMED = 3
NANOSECONDS_TO_SETTLE = 100_000_000
"""Much more than the resolution of file systems' time stamps."""


_MACHINE_IS_SHORT = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class MeasureError(Exception):
    """These files cannot be measured: one is missing, or is neither a file nor a folder."""


class NotMeasuredError(MeasureError):
    """Nothing is known about these files: no descriptor or memory is left, or the process has ended.

    That shows no change of a file, so it suspends no party; but no certificate is issued before the state is known.
    """


def measure_error(error: OSError, path: str = "") -> MeasureError:
    """Return what this error, on reading `path` or the file that it names, says about the measured files."""
    kind = NotMeasuredError if error.errno in _MACHINE_IS_SHORT else MeasureError
    return kind(f"{_shown(path or str(error.filename))}: {error.strerror}")


class Stamp(NamedTuple):
    """Shows whether a file was touched, without reading it: no program can set `ctime` (stat(2)), in nanoseconds."""

    inode: int
    size: int
    ctime: int


class MeasuredFile(NamedTuple):
    """The digest of a file, and its stamp at that time; without a stamp the file is read again."""

    stamp: Stamp | None
    digest: str


class Files:
    """Files below one folder, with their digests; reads again only files whose stamp has changed."""

    def __init__(
        self,
        root: Path,
        *,
        leave_out: Collection[str],
        links: bool = False,
        measured: Mapping[str, MeasuredFile] | None = None,
    ) -> None:
        """`leave_out` holds folders to skip, by name or whole path; `links`: whether links are followed, or refused."""
        self.root, self.leave_out, self._links = root, leave_out, links
        self.measured = dict(measured or {})

    def look(self, folders: Iterable[str], single: Iterable[str] = ()) -> dict[str, str]:
        """Return the SHA-256, in hex, of each file in `folders`, and of the files in `single` that exist.

        The keys are paths relative to the root.  Raises `MeasureError`.
        """
        try:
            found = {
                name: self._digest(name, stamp)
                for folder in folders
                for name, stamp in _walk(self.root, folder, self.leave_out, links=self._links)
            }
        except OSError as error:
            raise measure_error(error) from error
        return found | {name: digest for name in single if (digest := self.look_at(name)) is not None}

    def look_at(self, name: str) -> str | None:
        """Return the SHA-256 of one file, or None if it does not exist.  Raises `MeasureError`."""
        path = self.root / name
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise MeasureError(f"{_shown(str(path))}: not a file")
            return self._digest(name, _stamp(status))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise measure_error(error) from error

    def _digest(self, name: str, stamp: Stamp) -> str:
        measured = self.measured.get(name)
        if measured is None or measured.stamp != stamp:
            measured = self.measured[name] = _read(self.root / name)
        return measured.digest


def measure_files(
    root: Path, folders: Iterable[str], single: Iterable[str] = (), *, leave_out: Collection[str] = ()
) -> dict[str, str]:
    """Return the SHA-256, in hex, of every file in `folders`, and of those in `single`, by its name relative to `root`.

    Folders in `leave_out`, by name or by their whole path, are skipped.  Raises `MeasureError`.
    """
    return Files(root, leave_out=leave_out).look(folders, single)


def stamps(folder: Path) -> dict[str, Stamp]:
    """Return the stamp of every file in `folder`, by its full path.  Raises `MeasureError`."""
    try:
        return dict(_walk(Path("/"), str(folder), (), links=False))
    except OSError as error:
        raise measure_error(error) from error


def digest_of(files: Mapping[str, str]) -> str:
    """Return the SHA-256, in hex, over names and contents of `files`, which are digests by name."""
    total = hashlib.sha256()
    for name in sorted(files):
        # Two digests of fixed length, so that no name can be taken for the beginning of a content.
        total.update(hashlib.sha256(os.fsencode(name)).digest())
        total.update(bytes.fromhex(files[name]))
    return total.hexdigest()


def format_paths(paths: list[str]) -> str:
    """Return the first of these paths, and how many more there are; "" if there are none.

    The result is escaped for output, because a name can be any bytes.
    """
    paths = [*map(_shown, paths)]
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return ", ".join(paths[:NAMED]) + more


def _shown(path: str) -> str:
    return path if path.isprintable() else path.encode("unicode_escape").decode()


def _walk(root: Path, folder: str, leave_out: Collection[str], *, links: bool) -> Iterator[tuple[str, Stamp]]:
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        with os.scandir(root / folder) as entries:
            for entry in entries:
                name = f"{folder}/{entry.name}"
                if not entry.name.isprintable():  # control: measured-name-printable
                    raise MeasureError(f"{_shown(f'{root / name}')}: a name that is shown as another, or not at all")
                if entry.is_file(follow_symlinks=links):
                    yield name, _stamp(entry.stat(follow_symlinks=links))
                elif not entry.is_dir(follow_symlinks=links):
                    # A link's target would run without having been measured; a pipe would block the read for ever.
                    raise MeasureError(f"{_shown(f'{root / name}')}: neither a file nor a folder")
                elif entry.name not in leave_out and name not in leave_out:
                    waiting.append(name)


def _read(path: Path) -> MeasuredFile:
    # Does not block if a pipe has just replaced the file.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        before = _stamp(os.fstat(file.fileno()))
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        after = _stamp(os.fstat(file.fileno()))
    # A stamp is unreliable if the file was written while we read, or so recently that the next write could have the
    # same time.
    settled = before == after and time.time_ns() - after.ctime > NANOSECONDS_TO_SETTLE
    return MeasuredFile(after if settled else None, digest)


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_ino, status.st_size, status.st_ctime_ns)
