"""Delivers a journal to the audit log, while no request waits, and deletes the segments that are proven to be there.

A commit wakes it.  It sends the next lines when the last are published, so that at most one request is under way.
While the log is away, the journal keeps everything, and one line in the service's log reports it.
"""

import asyncio
import logging
from contextlib import closing, suppress
from pathlib import Path

from zerotrust.audit.deletion import Deletion, NotProven
from zerotrust.audit.journal import Journal
from zerotrust.audit.log_client import REPAIR, Ledger, NotDelivered
from zerotrust.audit.record import Link, hash_of
from zerotrust.audit.tail import RecordGone, Tail

GATHER = 0.05
"""Seconds between a commit that ends an idle time and the first delivery, so that related records go together."""
BETWEEN = 0.3
"""Seconds between the log's answer and the next delivery, unless more waits than one takes.  It is just before the log
makes its next batch (`authorities/audit/intake.py`), so that a delivery waits little and has much."""
SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds between two attempts while the log does not take anything: each is twice the one before."""
LAST = 2.0
"""Seconds to deliver what is left when the process ends.  The next start delivers what still remains."""
LASTS = 4.0
"""The pause from which on a failure is logged as a warning: some seconds after the first attempt."""

log = logging.getLogger(__name__)


class Delivery:
    """Delivers one journal, from where the log stands with it."""

    def __init__(self, journal: Journal, path: Path, ledger: Ledger, deletion: Deletion) -> None:
        self._journal, self._path, self._ledger, self._deletion = journal, path, ledger, deletion
        self._committed = asyncio.Event()
        self._pause = SHORTEST_PAUSE
        self._stopped: tuple[str, int] | None = None
        self._loop: asyncio.AbstractEventLoop
        self._running, self._failed, self._delivered = False, False, -1
        self._moved, self._hurry = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        self._loop, self._running = asyncio.get_running_loop(), True
        try:
            await self._run()
        finally:
            self._running = False
            self._moved.set()

    async def finish(self) -> None:
        """Write what is queued.  Return when all is delivered, when an attempt fails, or after `LAST` seconds."""
        self._journal.flush()
        self._failed = False  # a pause between two attempts ends now
        self._hurry.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST):
                while self._running and not self._failed and self._delivered < self._journal.link.records:
                    self._moved.clear()
                    await self._moved.wait()

    async def _run(self) -> None:
        while True:
            try:
                await self._deliver()
            except Exception as error:  # noqa: BLE001 - not even a bug may end it
                known = isinstance(error, NotDelivered | RecordGone)
                self._note_stop(str(error) if known else f"{type(error).__name__} {error}")
                await self._wait(max(self._pause, getattr(error, "after", 0.0)))
                self._pause = min(2 * self._pause, LONGEST_PAUSE)

    async def _wait(self, seconds: float) -> None:
        self._hurry.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()

    async def _deliver(self) -> None:
        """Deliver while the log takes everything.  Raises `NotDelivered`, `RecordGone` and `OSError`."""
        there = await self._ledger.position()
        await self._check(there)
        with closing(Tail(self._path, there.records)) as tail:
            while True:
                self._committed.clear()
                self._journal.on_commit(self._wake)  # first, so that no commit is missed
                if there.records == (last := self._journal.link.records):
                    self._delivered = last
                    self._note_progress()
                    await self._committed.wait()
                    await asyncio.sleep(GATHER)
                    continue
                there = await self._hand_over(await tail.lines(last), there)
                self._delivered = there.records
                self._note_progress()
                await self._delete(there.records)
                if there.records == last:
                    await asyncio.sleep(BETWEEN)

    async def _hand_over(self, lines: list[bytes], there: Link) -> Link:
        """Hand lines over.  Raises `NotDelivered`, also if the log acknowledges other records."""
        expected = Link(there.records + len(lines), hash_of(lines[-1]))
        if await self._ledger.take(lines) != expected:
            raise NotDelivered("it has acknowledged other records than it was sent")
        return expected

    async def _delete(self, delivered: int) -> None:
        """Delete segments that were delivered.  A segment without proof of delivery stays, with those after it."""
        try:
            for segment in await asyncio.to_thread(self._deletion.due, delivered):
                await self._deletion.delete(segment)
        except NotProven as error:
            log.warning("%s", error)

    async def _check(self, there: Link) -> None:
        """Compare the log's last record of this journal with the journal's own; show the log the record that differs.

        Raises `NotDelivered`: a backup was restored or somebody rewrote the journal, so it is not the one that was
        delivered.  The log has that one.
        """
        own = self._journal.link.records
        number = min(there.records, own)
        try:
            with closing(Tail(self._path, number - 1)) as tail:
                lines = await tail.lines(number)
        except RecordGone:  # deleted, because the log had it
            return
        if there.records > own or (lines and hash_of(lines[0]) != there.head):
            if lines:
                await self._ledger.take(lines)  # the log records that it differs
            raise NotDelivered(
                f"it has {there.records} records of this journal, which is not the same any more. {REPAIR}"
            )

    def _wake(self) -> None:
        """Wake the delivery.  The journal calls this in the thread that commits."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._committed.set)

    def _note_progress(self) -> None:
        if self._stopped:
            log.log(self._stopped[1], "the journal is delivered again")
        self._pause, self._stopped = SHORTEST_PAUSE, None
        self._moved.set()

    def _note_stop(self, why: str) -> None:
        """Log once why it stops, and once more, as a warning, if it lasts: a party may start before the log."""
        stopped = why, logging.INFO if self._pause < LASTS else logging.WARNING
        if stopped != self._stopped:
            log.log(stopped[1], "the journal is not delivered to the audit log, and keeps everything: %s", why)
        self._stopped, self._failed = stopped, True
        self._moved.set()
