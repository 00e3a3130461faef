"""The local journal: a decision is on the disk before the act, and the hash chain shows a changed record.

One line for each record: the event, its number, and the hash of the previous line, as one canonical JSON object.
Records that wait at the same time are written in one commit; events that no caller waits for ride on it.
"""

import asyncio
import errno
import fcntl
import hashlib
import os
import queue
import re
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from zerotrust.audit.event import AuditEvent
from zerotrust.errors import ZeroTrustError

GENESIS = "0" * 64

MAX_LINE = 65_535
"""Bytes of a record: the largest entry of a transparency log (C2SP tlog-tiles)."""

MAX_RIDERS = 1_000
"""Events that may wait for a commit; beyond that, the oldest are lost.  Fewer calls than that are under way."""

_RECORD = re.compile(rb'\{"event":(\{.*\}),"n":([1-9][0-9]*),"prev":"([0-9a-f]{64})"\}')
_ENVELOPE = len(b'{"event":,"n":,"prev":""}') + 20 + len(GENESIS)

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
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            raise JournalError(f"{path}: another process writes to it") from error
        complete = list(lines(path))
        if bad := _first_bad(complete):
            os.close(self._fd)
            raise JournalError(f"{path}: record {bad} was changed")
        self._count, self._head = len(complete), _hash(complete[-1]) if complete else GENESIS
        self._end = sum(len(line) + 1 for line in complete)
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
        count, head, chain = self._count, self._head, []
        for event in events:
            count += 1
            line = b'{"event":%b,"n":%d,"prev":"%b"}' % (event, count, head.encode())
            head = _hash(line)
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
            self._failure = JournalError(f"the journal cannot be written, until a restart: {error.strerror}")
            return self._failure
        self._count, self._head, self._end = count, head, self._end + len(data)
        self._commits += 1
        return None

    def _take_back(self, error: OSError) -> JournalError:
        try:
            os.ftruncate(self._fd, self._end)
        except OSError:
            self._failure = JournalError(f"the journal cannot be written, until a restart: {error.strerror}")
        return self._failure or JournalError(f"the journal cannot be written: {error.strerror}")


def events(path: Path) -> Iterator[AuditEvent]:
    """Yield the events of a journal, the oldest first.  Raises `ValueError` at one that is not of schema 1."""
    return map(event_of, lines(path))


def event_of(line: bytes) -> AuditEvent:
    """Return the event of a journal's line.  Raises `ValueError` if it is none of schema 1."""
    if not (record := _RECORD.fullmatch(line)):
        raise ValueError("not a record")
    return AuditEvent.parse(record[1])


def lines(path: Path) -> Iterator[bytes]:
    """Yield the complete lines of a journal, the oldest first.

    One that is too long for a record comes in pieces, none of which is a record, so that it fills no memory.
    """
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE + 1):
            if line.endswith(b"\n"):
                yield line[:-1]
            elif len(line) > MAX_LINE:
                yield line


def first_bad_record(path: Path) -> int:
    """Return the number of the first record that was changed, or 0.

    The last records cannot be checked: to detect that they were changed, rewritten or cut off takes an anchor outside
    this file.
    """
    return _first_bad(lines(path))


def _first_bad(chain: Iterable[bytes]) -> int:
    head = GENESIS
    for number, line in enumerate(chain, 1):
        record = _RECORD.fullmatch(line)
        if not record or int(record[2]) != number:
            return number
        if record[3].decode() != head:
            return max(number - 1, 1)  # it names the hash of another
        head = _hash(line)
    return 0


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


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
