"""The files of a journal: writes records in commits, each of which is on the disk or was never part of the chain.

A full segment is closed, and a new one continues the chain, so that a start reads only the newest.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from zerotrust.audit.chain import closed_segments, link_at_end, segment_lines, segment_path
from zerotrust.audit.record import GENESIS, MAX_LINE, Link, hash_of, last_link, line_of
from zerotrust.durable import sync_folder
from zerotrust.errors import ZeroTrustError

SEGMENT = 16 * 1024 * 1024
"""Bytes after which a segment is closed: some 20,000 records, which a start checks in a fraction of a second."""

MAX_EVENT = MAX_LINE - len(b'{"event":,"n":,"prev":""}') - 20 - len(GENESIS.head)
"""Bytes of an event, so that its record is at most `MAX_LINE`."""


class JournalError(ZeroTrustError, OSError):
    """The journal cannot be written, or was changed; a service without its journal refuses."""


_INTERRUPTED = JournalError("the journal cannot be written, until a restart: a commit was interrupted")


class Segments:
    """The files of one journal, open for this process alone."""

    def __init__(self, path: Path) -> None:
        """Open the journal at `path`, or create it.  Raises `JournalError` if its chain is broken or it is in use."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._fd = _open_locked(path)
        try:
            self._first, self._link, self._end = _read_end(path, self._fd)
            os.ftruncate(self._fd, self._end)  # half a record at the end was never acknowledged
            os.fdatasync(self._fd)  # an earlier process may have ended before this step
            sync_folder(path.parent)
        except (ValueError, OSError) as error:
            _close(self._fd)
            raise JournalError(f"{path}: {error}") from error
        self._wake: Callable[[], None] | None = None
        self._failure: JournalError | None = None  # permanent: the end of the file is unknown, so nothing is appended

    def commit(self, events: Sequence[bytes]) -> list[Link]:
        """Write all events, and return where the chain stands after each; or write none, and raise `JournalError`."""
        if self._failure:
            raise self._failure
        if not events:
            return []
        if self._end >= SEGMENT:
            self._rotate()
            if self._failure:
                raise self._failure
        link, links, chain = self._link, [], []
        for event in events:
            line = line_of(event, link)
            link = Link(link.records + 1, hash_of(line))
            links.append(link)
            chain.append(line + b"\n")
        data = b"".join(chain)
        self._failure = _INTERRUPTED  # until it is known how it went
        try:
            if os.write(self._fd, data) != len(data):
                raise OSError(errno.ENOSPC, "only a part was written")
        except OSError as error:
            raise self._undo(error) from error
        try:
            os.fdatasync(self._fd)
        except OSError as error:  # what is on the disk is unknown until it is read again
            self._failure = _until_restart(error)
            raise self._failure from error
        self._link, self._end, self._failure = link, self._end + len(data), None
        if wake := self._wake:
            self._wake = None
            wake()
        return links

    @property
    def link(self) -> Link:
        """Where the chain stands on the disk."""
        return self._link

    def on_commit(self, wake: Callable[[], None]) -> None:
        """Call `wake` after the next commit, once, in the thread that commits."""
        self._wake = wake

    def close(self) -> None:
        """Let another process open the journal."""
        _close(self._fd)

    def _rotate(self) -> None:
        """Close the segment and begin another.  If that fails, this one goes on, and the next commit tries again."""
        new, fd = self._path.with_name(f"{self._path.name}.new"), None
        try:
            new.unlink(missing_ok=True)
            fd = _open_locked(new)
            _link(self._path, segment_path(self._path, self._first))
            sync_folder(self._path.parent)
            new.rename(self._path)  # at each moment, the path is a file that this process has locked
        except OSError:
            if fd is not None:
                _close(fd)
            return
        _close(self._fd)
        self._fd, self._first, self._end = fd, self._link.records + 1, 0
        try:
            sync_folder(self._path.parent)
        except OSError as error:  # whether the new segment has its name on the disk is unknown
            self._failure = _until_restart(error)

    def _undo(self, error: OSError) -> JournalError:
        try:
            os.ftruncate(self._fd, self._end)
        except OSError:
            self._failure = _until_restart(error)
            return self._failure
        self._failure = None
        return JournalError(f"the journal cannot be written: {error.strerror}")


def _until_restart(error: OSError) -> JournalError:
    return JournalError(f"the journal cannot be written, until a restart: {error.strerror}")


def _open_locked(path: Path) -> int:
    """Open a segment for this process alone, or create it.  Raises `JournalError` if another process has it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)  # control: journals-kept
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(fd), path.stat()):
            raise BlockingIOError("the segment has been closed since")
    except OSError as error:
        _close(fd)
        raise JournalError(f"{path}: another process writes to it") from error
    return fd


def _close(fd: int) -> None:
    """Close a segment.  An error is ignored: its records are on the disk, or were refused."""
    with suppress(OSError):
        os.close(fd)


def _link(path: Path, segment: Path) -> None:
    """Give a segment its second name.  Raises `OSError`, also if something else has that name."""
    try:
        os.link(path, segment)
    except FileExistsError:
        if not segment.samefile(path):  # the same file: an earlier try failed later
            raise


def _read_end(path: Path, fd: int) -> tuple[int, Link, int]:
    """Return the number of the newest segment's first record, where the chain stands, and where the last line ends.

    Raises `ValueError` if the newest segment does not continue the others, or its own chain is broken.
    """
    older = closed_segments(path)
    if older and os.path.samestat(older[-1].stat(), os.fstat(fd)):
        older.pop().unlink()  # an earlier process was about to close it
    before = link_at_end(older[-1]) if older else GENESIS
    complete = list(segment_lines(path))
    return before.records + 1, last_link(before, complete), sum(len(line) + 1 for line in complete)
