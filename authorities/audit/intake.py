"""Takes the lines of journals into the log, in batches: each line once, in order, and acknowledged when published."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from authorities.audit.log import MAX_BATCH, Log, LogError
from authorities.audit.reasons import AuditReason
from authorities.audit.sent_lines import Writers, new_lines, parse_lines
from zerotrust.audit.record import GENESIS, Link
from zerotrust.audit.tail import MOST_BYTES, MOST_LINES
from zerotrust.authority.budget import Budget
from zerotrust.decision import Denied
from zerotrust.shielded import Shielding, shielded

EVERY = 0.4
"""Seconds between two batches, unless the first has `MOST_LINES`: then there is much to catch up with.  So a record is
published within a second, and the log has few batches."""
GATHER = 0.1
"""Seconds for which the first batch after a pause waits for the other parties of the same task: late parties wait for
the next one."""
QUIET = 1.5
"""Seconds without lines after which the last lines of all are here.  An outcome that waits for another record to be
written with waits one second at most (`zerotrust/audit/journal.py` `RIDE_WITHIN`), and is then sent at once."""
LAST = 3.0
"""Seconds that the end of the process waits at most for `QUIET` seconds without lines."""
ENDS = LogError("the audit authority ends")
MOST_WAITING = 16 * MOST_BYTES
"""Bytes of requests that are on their way into the log, of all parties together: 32 MiB."""
SHARE, SHARE_A_SECOND = 256 * 1024 * 1024, 128 * 1024
"""Bytes of new records that one party may add at once, to catch up after an outage, and in each second from then on.

The latter are some 50 calls a second, day and night."""
RECORDS, RECORDS_A_SECOND = 50_000, 100
"""New records that one party may add likewise.  The smallest have fewer than 300 bytes, and each one costs
all who read the log, and some 256 bytes more here: of its hash, and of its rows in the index."""
SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds between two attempts to publish, while that fails: doubled from the shortest to the longest."""

log = logging.getLogger(__name__)

Lookup = Callable[[str, int], Awaitable[bytes | None]]
"""Returns a line of the log by its service and its number; None if it is not found."""


@dataclass(slots=True)
class _Waiting:
    """Lines that wait for a batch."""

    lines: Sequence[bytes]
    link: Link
    published: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Intake(Shielding):
    """Takes all journals into one log."""

    def __init__(self, ledger: Log, lookup: Lookup, published: Callable[[], None], only: Writers) -> None:
        """`published` is called after each batch, and at the start; `only`: the only writers of a kind of records."""
        super().__init__()
        self._only = only
        self._log, self._lookup, self._was_published = ledger, lookup, published
        self._waiting: dict[str, _Waiting] = {}
        self._taking: dict[str, int] = {}
        self._shares: dict[str, tuple[Budget, Budget]] = {}  # in bytes and in records, for each party of the registry
        self._some, self._came, self._ready, self._ended = asyncio.Event(), asyncio.Event(), False, False

    def position(self, service: str) -> Link:
        """Return where the published log stands with a journal.  Raises `Denied` while that is not known."""
        if not self._ready:
            raise Denied(AuditReason.LOG_UNAVAILABLE, "the log is not ready")
        return self._log.heads.get(service, GENESIS)

    @shielded  # lines that are on their way are published, also if the caller leaves
    async def take(self, service: str, body: bytes) -> Link:
        """Take lines of a journal, and return where the log stands with it when they are published.

        Raises `Denied`: see `parse_lines` and `new_lines`; `journal_busy` while lines of the same journal are on their
        way, or too much waits; `journal_too_fast` if the party has used its share up; `log_unavailable` if they cannot
        be published now.
        """
        there = self.position(service)
        if service in self._taking:
            raise Denied(AuditReason.JOURNAL_BUSY, "lines of this journal are on their way")
        # control: deliveries-bounded
        if sum(self._taking.values()) + len(body) > MOST_WAITING:
            raise Denied(AuditReason.JOURNAL_BUSY, "too much waits for the log")
        new_share = Budget(SHARE, SHARE_A_SECOND), Budget(RECORDS, RECORDS_A_SECOND)
        share, cost, used = self._shares.setdefault(service, new_share), (len(body), body.count(b"\n")), (0, 0)
        taken = [one for one, budget in enumerate(share) if budget.take(cost[one])]
        self._taking[service] = len(body)
        try:
            if len(taken) < len(share):  # control: deliveries-of-a-party-bounded
                raise Denied(AuditReason.JOURNAL_TOO_FAST, "more than the share of one party")
            given = await asyncio.to_thread(parse_lines, body, service, self._only)
            if not (new := await new_lines(given, there, partial(self._lookup, service))):
                return there
            link = await self._enqueue(service, new, given.link)
            used = sum(len(line) + 1 for line in new), len(new)
            return link
        finally:
            for one in taken:
                share[one].give_back(cost[one] - used[one])
            del self._taking[service]

    async def _enqueue(self, service: str, lines: Sequence[bytes], link: Link) -> Link:
        self._came.set()
        if self._ended:
            raise Denied(AuditReason.LOG_UNAVAILABLE, str(ENDS))
        self._waiting[service] = one = _Waiting(lines, link)
        self._some.set()
        try:
            await one.published
        except LogError as error:
            raise Denied(AuditReason.LOG_UNAVAILABLE, str(error)) from error
        return link

    async def wait_until_quiet(self) -> None:
        """Return when no lines have come for a while, so that the last lines of all parties are here."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST):
                while await self._came_within(QUIET) or self._taking:
                    pass

    async def _came_within(self, seconds: float) -> bool:
        self._came.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._came.wait()
        return self._came.is_set()

    async def run(self) -> None:
        """Publish the waiting lines, batch by batch, until cancelled; then fail all calls that still wait."""
        try:
            await self._run()
        finally:
            self._ended = True
            _resolve(self._waiting.values(), ENDS)
            self._waiting.clear()

    async def _run(self) -> None:
        pause, said = SHORTEST_PAUSE, ""
        while True:
            try:
                if not self._ready:
                    await self._log.finish()
                    self._was_published()
                    self._ready = True
                    if said:
                        log.warning("the audit log goes on")
                    pause, said = SHORTEST_PAUSE, ""
                if not self._some.is_set():
                    await self._some.wait()
                    await asyncio.sleep(GATHER)
                lines = await self._publish()
                self._was_published()
                if lines < MOST_LINES:
                    await asyncio.sleep(EVERY)
            except Exception as error:  # noqa: BLE001 - not even a bug may end it
                self._ready = False  # whether the last batch is in the log is known after `finish`
                why = str(error) if isinstance(error, LogError) else f"{type(error).__name__} {error}"
                if why != said:
                    log.error("the audit log does not go on, and the journals keep everything: %s", why)
                said = why
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _publish(self) -> int:
        """Publish a batch of the waiting lines, and end the calls that wait for it.  Return the number of its lines.

        Raises `LogError`, also at all calls that wait.
        """
        self._some.clear()
        batch = _first(self._waiting, MAX_BATCH)
        for service in batch:
            del self._waiting[service]
        if self._waiting:
            self._some.set()
        heads = {**self._log.heads, **{service: one.link for service, one in batch.items()}}
        lines = [line for one in batch.values() for line in one.lines]
        failure: LogError | None = ENDS
        try:
            await self._log.add(lines, heads)
            failure = None
        except LogError as error:
            failure = error
            raise
        finally:
            _resolve(batch.values(), failure)
            if failure:
                _resolve(self._waiting.values(), failure)
                self._waiting.clear()
        return len(lines)


def _first(waiting: Mapping[str, _Waiting], most: int) -> dict[str, _Waiting]:
    """Return the earliest batches that together have at most `most` lines."""
    batch, lines = dict[str, _Waiting](), 0
    for service, one in waiting.items():
        lines += len(one.lines)
        if lines > most:
            break
        batch[service] = one
    return batch


def _resolve(waiting: Iterable[_Waiting], failure: LogError | None) -> None:
    for one in waiting:
        if failure:
            one.published.set_exception(failure)
        else:
            one.published.set_result(None)
