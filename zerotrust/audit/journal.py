"""The local journal: a decision is on the disk before the act, and the hash chain shows a changed record.

One line for each record: the event, its number, and the hash of the previous line, as one canonical JSON object.
Records that wait at the same time are written in one commit; events that no caller waits for ride on it.
"""

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Literal

from zerotrust.audit.record import Link
from zerotrust.audit.segments import MAX_EVENT, JournalError, Segments

MAX_RIDERS = 1_000
"""Events that may wait for a commit; beyond that, the oldest are lost.  Fewer calls than that are under way."""

SLOW = 0.001
"""Seconds that a commit may take if the event loop is to make the next.  To hand one to a thread costs 0.03 ms."""

PAUSE = 1.0
"""Seconds for which a thread makes the commits after a slow one."""

RIDE_WITHIN = 0.5
"""Seconds after which waiting riders get a commit of their own.  If there was another commit, they wait once more."""


class Journal:
    """One party's journal, written by one process.

    A commit is made where it costs least.  While the disk is quick, the event loop makes it at the end of its turn, for
    all records of that turn.  Otherwise a thread makes it, and the loop goes on.
    """

    def __init__(self, path: Path) -> None:
        """Open the journal at `path`, or create it.  Raises `JournalError` if its chain is broken or it is in use."""
        self._segments, self._slow_until = Segments(path), float("-inf")
        self._asked: deque[tuple[bytes, asyncio.Future[Link]]] = deque()
        self._riders: deque[bytes] = deque(maxlen=MAX_RIDERS)
        self._commits, self._due, self._soon = 0, False, False
        self._committing = threading.Lock()
        self._orders: queue.SimpleQueue[Literal["commit", "end"]] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="journal", daemon=True)
        self._writer.start()

    def append(self, event: bytes) -> asyncio.Future[Link]:
        """Queue an event in canonical form.  The future is done when it is on the disk, chained in this order.

        Its result is the record's number and hash.  It fails with `JournalError` if the record cannot be written.  The
        record is then no part of the chain, which has no gap, and the next one is tried.
        """
        done: asyncio.Future[Link] = asyncio.get_running_loop().create_future()
        if len(event) > MAX_EVENT:
            _fail([done], JournalError("the record is too large"))
        elif self._writer.is_alive():
            self._asked.append((event, done))
            self._commit_soon()
        else:
            _fail([done], JournalError("the journal is closed"))
        return done

    @property
    def link(self) -> Link:
        return self._segments.link

    def on_commit(self, wake: Callable[[], None]) -> None:
        self._segments.on_commit(wake)

    def append_lazily(self, event: bytes) -> None:
        """Queue an event that no caller waits for; it is written with the next commit.

        If there is none within twice `RIDE_WITHIN`, it gets its own.  It is lost if the journal fails permanently.
        """
        self._riders.append(event)
        if not self._due:
            self._wait_for_others()

    def flush(self) -> None:
        """Write the queued events now, in the thread of the event loop: for a process that is about to end."""
        with self._committing:
            _, settle = self._commit()
        settle()

    def _wait_for_others(self) -> None:
        self._due = True
        asyncio.get_running_loop().call_later(RIDE_WITHIN, self._overdue, self._commits)

    def _overdue(self, commits: int) -> None:
        self._due = False
        if self._commits == commits:
            self._commit_soon()
        elif self._riders:  # commits happen: the riders go with the next one
            self._wait_for_others()

    def close(self) -> None:
        """Write the queued events, then stop."""
        self._orders.put("end")
        self._writer.join()
        self._segments.close()

    def _commit_soon(self) -> None:
        if time.monotonic() < self._slow_until:  # the event loop may not wait for the disk
            self._orders.put("commit")
        elif not self._soon:
            self._soon = True
            asyncio.get_running_loop().call_soon(self._commit_here)

    def _commit_here(self) -> None:
        """Commit in the event loop, unless the thread is committing, or has committed all."""
        self._soon = False
        if not self._committing.acquire(blocking=False):
            self._orders.put("commit")
            return
        try:
            if not self._asked and not self._riders:
                return
            began = time.monotonic()
            _, settle = self._commit()
            if (now := time.monotonic()) - began > SLOW:
                self._slow_until = now + PAUSE
        finally:
            self._committing.release()
        settle()

    def _write(self) -> None:
        order = ""
        while order != "end":
            order = self._orders.get()
            with self._committing:
                loop, settle = self._commit()
            if loop and not loop.is_closed():
                loop.call_soon_threadsafe(settle)

    def _commit(self) -> tuple[asyncio.AbstractEventLoop | None, Callable[[], None]]:
        """Commit all that waits.  Return the event loop of the futures, and a function that settles them there."""
        asked = [self._asked.popleft() for _ in range(len(self._asked))]
        riders = [self._riders.popleft() for _ in range(len(self._riders))]
        futures = [done for _, done in asked]
        loop = futures[0].get_loop() if futures else None
        try:
            links = self._segments.commit([*riders, *(event for event, _ in asked)])
        except JournalError as failure:
            self._riders.extendleft(reversed(riders))  # for the next commit
            return loop, partial(_fail, futures, failure)
        self._commits += bool(links)
        return loop, partial(_resolve, futures, links[len(riders) :])


def _resolve(futures: Iterable[asyncio.Future[Link]], links: Iterable[Link]) -> None:
    for done, link in zip(futures, links, strict=True):
        if not done.done():  # otherwise the caller has left
            done.set_result(link)


def _fail(futures: Iterable[asyncio.Future[Link]], failure: JournalError) -> None:
    for done in futures:
        if not done.done():
            done.set_exception(failure)
            done.exception()  # marks it as retrieved: a caller that left must not cause a warning
