"""The local journal: what was decided is on the disk before anything is done, and no record can change alone.

One line a record, each naming the hash of the one before.  Records that wait at the same time go out in one commit.
"""

import asyncio
import errno
import fcntl
import hashlib
import os
import queue
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from zerotrust.errors import ZeroTrustError
from zerotrust.identity import Principal

GENESIS = "0" * 64

_TOKEN = re.compile(r"eyJ[\w.-]*")
"""What every JWT begins with: `{"`, in base64."""


class JournalError(ZeroTrustError, OSError):
    """The journal cannot be written, or is not what it was; whoever needs it must refuse."""


class Journal:
    """One party's journal, written by one process."""

    def __init__(self, path: Path) -> None:
        """Open or go on with the journal at `path`.  Raises `JournalError` when its chain is broken or it is in use."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            raise JournalError(f"{path}: another process writes here") from error
        if bad := first_bad_record(path):
            os.close(self._fd)
            raise JournalError(f"{path}: record {bad} is not what it was")
        self._count, self._head, self._end = 0, GENESIS, 0
        for line in _lines(path):
            self._count, self._head, self._end = self._count + 1, _hash(line), self._end + len(line) + 1
        os.ftruncate(self._fd, self._end)  # half a record at the end was never acknowledged
        _sync_folder(path.parent)
        self._failure: JournalError | None = None  # for good: what has an end that nobody knows is not gone on with
        self._waiting: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]] | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="journal", daemon=True)
        self._writer.start()

    def append(self, record: Mapping[str, Any]) -> asyncio.Future[None]:
        """Hand over a record; the future is done once it is chained, in this order, and on the disk.

        The future fails with `JournalError` when it cannot be written.  The chain has no hole then: a record that was
        not written was never part of it, and the next one is tried anew.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line = orjson.dumps(record)  # may raise: nothing is handed over yet
        if self._writer.is_alive():
            self._waiting.put((line, done))
        else:
            _resolve([done], JournalError("the journal is closed"))
        return done

    def close(self) -> None:
        """Write what waits, then stop."""
        self._waiting.put(None)
        self._writer.join()
        os.close(self._fd)

    def _write(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch, end = [first], False
            while not self._waiting.empty():  # all that waits goes out in one commit
                if (item := self._waiting.get()) is None:
                    end = True
                    break
                batch.append(item)
            failure = self._failure or self._commit([line for line, _ in batch])
            loop = first[1].get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, [done for _, done in batch], failure)
            if end:
                return

    def _commit(self, lines: list[bytes]) -> JournalError | None:
        """Write all of them or none; return why none."""
        count, head, chain = self._count, self._head, []
        for line in lines:
            count += 1
            chained = b'{"n":%d,"prev":"%b"%b' % (count, head.encode(), b"," + line[1:] if line != b"{}" else b"}")
            head = _hash(chained)
            chain.append(chained + b"\n")
        data = b"".join(chain)
        try:
            if os.write(self._fd, data) != len(data):
                raise OSError(errno.ENOSPC, "only a part of it was written")
        except OSError as error:
            return self._take_back(error)
        try:
            os.fdatasync(self._fd)
        except OSError as error:  # nobody can say any more what is on the disk, before it was read again
            self._failure = JournalError(f"the journal cannot be written, until a restart: {error.strerror}")
            return self._failure
        self._count, self._head, self._end = count, head, self._end + len(data)
        return None

    def _take_back(self, error: OSError) -> JournalError:
        try:
            os.ftruncate(self._fd, self._end)
        except OSError:
            self._failure = JournalError(f"the journal cannot be written, until a restart: {error.strerror}")
        return self._failure or JournalError(f"the journal cannot be written: {error.strerror}")


def plain(text: str) -> str:
    """What others sent, fit to be read in a record: not too much of it, only what is printable ASCII, and no token."""
    return _TOKEN.sub("(a token)", text[:200]).encode("unicode_escape").decode()


def describe(principal: Principal) -> dict[str, Any]:
    """What a record says of a caller: everything its token says, never the token."""
    return {
        "subject": principal.subject,
        "party": principal.party,
        "actors": list(principal.actors),
        "audience": principal.audience,
        "scopes": sorted(principal.scopes),
        "groups": sorted(principal.groups),
        "token_id": principal.token_id,
        "lineage": list(principal.lineage),
        "transaction": principal.transaction,
        "session": principal.session,
        "issued_at": principal.issued_at,
        "expires_at": principal.expires_at,
    }


def records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a journal, oldest first."""
    return (orjson.loads(line) for line in _lines(path))


def first_bad_record(path: Path) -> int:
    """The number of the first record that is not what it was, or 0.

    Nothing vouches for the end: where it is changed, rewritten or cut off, that takes an anchor outside this file.
    """
    head = GENESIS
    for number, line in enumerate(_lines(path), 1):
        try:
            record = orjson.loads(line)
            in_order, chained = record["n"] == number, record["prev"] == head
        except (ValueError, KeyError, TypeError):
            return number
        if not in_order:
            return number
        if not chained:
            return max(number - 1, 1)  # it names the hash of another
        head = _hash(line)
    return 0


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")[:-1]


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
        if done.done():  # whoever asked has left
            continue
        if failure:
            done.set_exception(failure)
            done.exception()  # read once: a caller that left must not make noise
        else:
            done.set_result(None)
