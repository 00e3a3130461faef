"""The local journal: a decision is on the disk before the act, and the hash chain shows a changed record.

One line for each record: the event, its number, and the hash of the previous line, as one canonical JSON object.
Records that wait at the same time are written in one commit; events that no caller waits for ride on it.
"""

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from zerotrust.audit.record import Link
from zerotrust.audit.segments import MAX_EVENT, JournalError, Segments

MAX_RIDERS = 1_000
"""Events that may wait for a commit; beyond that, the oldest are lost.  Fewer calls than that are under way."""

RIDE_WITHIN = 0.5
"""Seconds after which waiting riders get a commit of their own, unless there was one; then they wait once more."""

_Item = tuple[bytes, asyncio.Future[Link]] | Literal["ride", "end"]
"""An event with its future, or why to commit without one."""


class Journal:
    """One party's journal, written by one process."""

    def __init__(self, path: Path) -> None:
        """Open the journal at `path`, or create it.  Raises `JournalError` if its chain is broken or it is in use."""
        self._segments = Segments(path)
        self._waiting: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._riders: deque[bytes] = deque(maxlen=MAX_RIDERS)
        self._commits, self._due = 0, False
        self._writer = threading.Thread(target=self._write, name="journal", daemon=True)
        self._writer.start()

    def append(self, event: bytes) -> asyncio.Future[Link]:
        """Queue an event in canonical form.  The future is done when it is chained, in this order, and on the disk.

        Its result is the record's number and hash.  It fails with `JournalError` if the record cannot be written: then
        the chain has no gap, for the record was never part of it, and the next one is tried again.
        """
        done: asyncio.Future[Link] = asyncio.get_running_loop().create_future()
        if len(event) > MAX_EVENT:
            _fail([done], JournalError("the record is too large"))
        elif self._writer.is_alive():
            self._waiting.put((event, done))
        else:
            _fail([done], JournalError("the journal is closed"))
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
        self._segments.close()

    def _write(self) -> None:
        items: list[_Item] = []
        while "end" not in items:
            items = [self._waiting.get()]
            while not self._waiting.empty():  # everything queued goes into one commit
                items.append(self._waiting.get())
            self._commit([item for item in items if not isinstance(item, str)])

    def _commit(self, asked: list[tuple[bytes, asyncio.Future[Link]]]) -> None:
        """Commit these and the riders, and settle the futures in their event loop."""
        riders = [self._riders.popleft() for _ in range(len(self._riders))]
        futures = [done for _, done in asked]
        try:
            links = self._segments.commit([*riders, *(event for event, _ in asked)])
        except JournalError as failure:
            self._riders.extendleft(reversed(riders))  # for the next commit
            _in_their_loop(futures, _fail, failure)
            return
        self._commits += bool(links)
        _in_their_loop(futures, _resolve, links[len(riders) :])


def _in_their_loop(futures: list[asyncio.Future[Link]], settle: Callable[..., None], how: object) -> None:
    if futures and not (loop := futures[0].get_loop()).is_closed():
        loop.call_soon_threadsafe(settle, futures, how)


def _resolve(futures: Iterable[asyncio.Future[Link]], links: Iterable[Link]) -> None:
    for done, link in zip(futures, links, strict=True):
        if not done.done():  # otherwise the caller has left
            done.set_result(link)


def _fail(futures: Iterable[asyncio.Future[Link]], failure: JournalError) -> None:
    for done in futures:
        if not done.done():
            done.set_exception(failure)
            done.exception()  # marks it as retrieved: a caller that left must not cause a warning
