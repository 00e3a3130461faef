"""The local journal: a decision is on the disk before the act, and the hash chain shows a changed record.

One line for each record: the event, its number, and the hash of the previous line, as one canonical JSON object.
Records that wait at the same time are written in one commit; events that no caller waits for ride on it.  A segment
that is full is closed, and a new one continues the chain: a start reads the newest alone.
"""

import asyncio
import errno
import fcntl
import os
import queue
import threading
from collections import deque
from pathlib import Path
from typing import Literal

from zerotrust.audit.chain import (
    GENESIS,
    MAX_LINE,
    Link,
    closed,
    followed,
    hash_of,
    segment_lines,
    segment_path,
    stands_at,
)
from zerotrust.errors import ZeroTrustError

SEGMENT = 16 * 1024 * 1024
"""Bytes after which a segment is closed: some 20,000 records, which a start checks in a fraction of a second."""

MAX_RIDERS = 1_000
"""Events that may wait for a commit; beyond that, the oldest are lost.  Fewer calls than that are under way."""

_ENVELOPE = len(b'{"event":,"n":,"prev":""}') + 20 + len(GENESIS.head)

RIDE_WITHIN = 0.5
"""Seconds after which waiting riders get a commit of their own, unless there was one; then they wait once more."""


class JournalError(ZeroTrustError, OSError):
    """The journal cannot be written, or was changed; a service without its journal refuses."""


_Item = tuple[bytes, asyncio.Future[None]] | Literal["ride", "end"]
"""An event with its future, or why to commit without one."""


class Journal:
    """One party's journal, written by one process."""

    def __init__(self, path: Path) -> None:
        """Open the journal at `path`, or create it.  Raises `JournalError` if its chain is broken or it is in use."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._fd = _locked(path)
        try:
            self._first, self._link, self._end = _continued(path, self._fd)
        except (ValueError, OSError) as error:
            os.close(self._fd)
            raise JournalError(f"{path}: {error}") from error
        os.ftruncate(self._fd, self._end)  # half a record at the end was never acknowledged
        _sync_folder(path.parent)
        self._failure: JournalError | None = None  # permanent: the end of the file is unknown, so nothing is appended
        self._waiting: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._riders: deque[bytes] = deque(maxlen=MAX_RIDERS)
        self._commits, self._due = 0, False
        self._writer = threading.Thread(target=self._write, name="journal", daemon=True)
        self._writer.start()

    def append(self, event: bytes) -> asyncio.Future[None]:
        """Queue an event in canonical form.  The future is done when it is chained, in this order, and on the disk.

        The future fails with `JournalError` if it cannot be written.  The chain has no gap then: the record was never
        part of it, and the next one is tried again.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if len(event) > MAX_LINE - _ENVELOPE:
            _resolve([done], JournalError("the record is too large"))
        elif self._writer.is_alive():
            self._waiting.put((event, done))
        else:
            _resolve([done], JournalError("the journal is closed"))
        return done

    def ride(self, event: bytes) -> None:
        """Queue an event that no caller waits for; it is written with the next commit.

        If there is none within twice `RIDE_WITHIN`, it gets its own.  It is lost if the journal fails permanently.
        """
        self._riders.append(event)
        if not self._due:
            self._wait_for_others()

    def _wait_for_others(self) -> None:
        self._due = True
        asyncio.get_running_loop().call_later(RIDE_WITHIN, self._overdue, self._commits)

    def _overdue(self, commits: int) -> None:
        self._due = False
        if self._commits == commits:
            self._waiting.put("ride")
        elif self._riders:  # commits happen: the riders go with the next one
            self._wait_for_others()

    def close(self) -> None:
        """Write the queued events, then stop."""
        self._waiting.put("end")
        self._writer.join()
        os.close(self._fd)

    def _write(self) -> None:
        items: list[_Item] = []
        while "end" not in items:
            items = [self._waiting.get()]
            while not self._waiting.empty():  # everything queued goes into one commit
                items.append(self._waiting.get())
            asked = [item for item in items if not isinstance(item, str)]
            riders = [self._riders.popleft() for _ in range(len(self._riders))]
            failure = self._failure or self._commit([*riders, *(event for event, _ in asked)])
            if failure:
                self._riders.extendleft(reversed(riders))  # for the next commit
            if asked and not (loop := asked[0][1].get_loop()).is_closed():
                loop.call_soon_threadsafe(_resolve, [done for _, done in asked], failure)

    def _commit(self, events: list[bytes]) -> JournalError | None:
        """Write all events, or none and return the reason."""
        if not events:
            return None
        if self._end >= SEGMENT:
            self._rotate()
            if self._failure:
                return self._failure
        link, chain = self._link, []
        for event in events:
            line = b'{"event":%b,"n":%d,"prev":"%b"}' % (event, link.records + 1, link.head.encode())
            link = Link(link.records + 1, hash_of(line))
            chain.append(line + b"\n")
        data = b"".join(chain)
        try:
            if os.write(self._fd, data) != len(data):
                raise OSError(errno.ENOSPC, "only a part was written")
        except OSError as error:
            return self._take_back(error)
        try:
            os.fdatasync(self._fd)
        except OSError as error:  # what is on the disk is unknown until it is read again
            self._failure = _until_restart(error)
            return self._failure
        self._link, self._end = link, self._end + len(data)
        self._commits += 1
        return None

    def _rotate(self) -> None:
        """Close the segment and begin another.  Where that fails, this one goes on, and the next commit tries again."""
        new, fd = self._path.with_name(f"{self._path.name}.new"), None
        try:
            new.unlink(missing_ok=True)
            fd = _locked(new)
            _link(self._path, segment_path(self._path, self._first))
            _sync_folder(self._path.parent)
            new.rename(self._path)  # at each moment, the path is a file that this process has locked
        except OSError:
            if fd is not None:
                os.close(fd)
            return
        os.close(self._fd)
        self._fd, self._first, self._end = fd, self._link.records + 1, 0
        try:
            _sync_folder(self._path.parent)
        except OSError as error:  # whether the new segment has its name on the disk is unknown
            self._failure = _until_restart(error)

    def _take_back(self, error: OSError) -> JournalError:
        try:
            os.ftruncate(self._fd, self._end)
        except OSError:
            self._failure = _until_restart(error)
        return self._failure or JournalError(f"the journal cannot be written: {error.strerror}")


def _until_restart(error: OSError) -> JournalError:
    return JournalError(f"the journal cannot be written, until a restart: {error.strerror}")


def _locked(path: Path) -> int:
    """Open a segment for this process alone, or create it.  Raises `JournalError` if another process has it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(fd), path.stat()):
            raise BlockingIOError("the segment was closed meanwhile")
    except OSError as error:
        os.close(fd)
        raise JournalError(f"{path}: another process writes to it") from error
    return fd


def _link(path: Path, segment: Path) -> None:
    """Give a segment its second name.  Raises `OSError`, also if something else has that name."""
    try:
        os.link(path, segment)
    except FileExistsError:
        if not segment.samefile(path):  # otherwise of a try that failed later
            raise


def _continued(path: Path, fd: int) -> tuple[int, Link, int]:
    """Return the number of the newest segment's first record, where the chain stands, and where the last line ends.

    Raises `ValueError` if the newest segment does not continue the others, or its own chain is broken.
    """
    older = closed(path)
    if older and os.path.samestat(older[-1].stat(), os.fstat(fd)):
        older.pop().unlink()  # it was about to be closed
    before = stands_at(older[-1]) if older else GENESIS
    complete = list(segment_lines(path))
    return before.records + 1, followed(before, complete), sum(len(line) + 1 for line in complete)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _resolve(futures: list[asyncio.Future[None]], failure: OSError | None) -> None:
    for done in futures:
        if done.done():  # the caller has left
            continue
        if failure:
            done.set_exception(failure)
            done.exception()  # marks it as retrieved: a caller that left must not cause a warning
        else:
            done.set_result(None)
