"""Counts events that may come in floods, so that a flood costs the disk a few records a second.

Calls of unverified callers are counted from the first.  A repeated call of a verified caller is recorded in full three
times within a second and counted from then on: the thousandth record says no more than the third.

A suspended party may go on calling for days.  Its refusals are counted for a minute.  While they go on, the count of
the next minute continues this count, so that none is recorded in full again.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import TypeVar

from zerotrust.audit.event_types import Counts, Repeated, Unverified
from zerotrust.audit.forms import sanitize
from zerotrust.audit.record import Link
from zerotrust.audit.recorder import Recorder
from zerotrust.decision import Reason

T = TypeVar("T")

OF_SUSPENDED = 60
"""Seconds for which refusals of suspended parties, by their certificates, are counted before the count is written."""

MAX_PEERS = 1000
"""Callers that are counted apart within a second; the rest are counted together."""

IN_THE_LOG = 10
"""Refusals before verification that the log shows within a second, each with its detail; the rest are only counted."""

IN_FULL = 3
"""Refusals that are recorded in full within a second, with the same subject, party, peer, reason and route; and calls
by the same certificate at the same route."""

MAX_REPEATED = 1000
"""Such combinations that are counted apart within a second; the rest are counted together, by their reason."""

IN_A_RECORD = 100
"""Counts in one record: it stays below `record.MAX_LINE`."""


What = tuple[str | None, str | None, str | None, str, str]
"""Subject, party, peer, reason and route."""


class CallCounter:
    """Counts refusals before verification, repeated refusals, and calls by public routes and by certificate."""

    def __init__(self, recorder: Recorder, *, interval: float = 1.0, of_suspended: float = OF_SUSPENDED) -> None:
        self._recorder, self._interval, self._of_suspended = recorder, interval, of_suspended
        self._unverified: Counter[tuple[str, str]] = Counter()
        self._repeated: Counter[What] = Counter()
        self._suspended: Counter[What] = Counter()
        self._later: asyncio.TimerHandle | None = None
        """Writes the count of `_suspended`."""

    def count(self, origin: str, reason: str) -> bool:
        """Count a call of a caller that was not verified; the count is written within `interval` seconds.

        Return whether it is among the first, whose details the log has room for.
        """
        self._begin()
        first = self._unverified.total() < IN_THE_LOG
        if (origin, reason) not in self._unverified and len(self._unverified) >= MAX_PEERS:
            origin = "others"
        self._unverified[origin, reason] += 1
        return first

    def count_verified(self, subject: str | None, party: str | None, peer: str | None, reason: str, route: str) -> bool:
        """Count a call of a verified caller.  Return True if the count is enough, False to record the call in full.

        `party` is the one that the token was issued to, `peer` the one that presented it.  They differ if a token was
        stolen, and refusals of one must not hide those of the other.  Subject and party are None for a call by
        certificate alone, the peer is None for a caller without a certificate.
        """
        counted = self._repeated
        if subject is None and reason == Reason.REVOKED:
            counted = self._suspended
            self._later = self._later or asyncio.get_running_loop().call_later(
                self._of_suspended, self._write_suspended
            )
        else:
            self._begin()
        return _count(counted, (subject, party, peer, reason, route))  # control: repeated-calls-only-counted

    async def flush(self) -> None:
        """Write the counts now.  Raises `JournalError`."""
        for written in self._write() + self._write_suspended():
            await written

    def _begin(self) -> None:
        if not self._unverified and not self._repeated:
            asyncio.get_running_loop().call_later(self._interval, self._write)

    def _write(self) -> list[asyncio.Future[Link]]:
        unverified = [Unverified(origin=o, reason=r, times=n) for (o, r), n in self._unverified.items()]
        repeated = self._repeated
        self._unverified, self._repeated = Counter(), Counter()
        return self._append([Counts(unverified=part) for part in _parts(unverified)], repeated)

    def _write_suspended(self) -> list[asyncio.Future[Link]]:
        counted = self._suspended
        self._suspended = Counter({what: IN_FULL for what, times in counted.items() if times > IN_FULL})
        if self._later:
            self._later.cancel()
        loop = asyncio.get_running_loop()
        self._later = loop.call_later(self._of_suspended, self._write_suspended) if self._suspended else None
        return self._append([], counted)

    def _append(self, parts: list[Counts], counted: Counter[What]) -> list[asyncio.Future[Link]]:
        repeated = [
            Repeated(subject=s, party=p, peer=c, reason=r, operation=sanitize(o), times=n - IN_FULL)
            for (s, p, c, r, o), n in counted.items()
            if n > IN_FULL
        ]
        parts += [Counts(repeated=part) for part in _parts(repeated)]
        return [self._recorder.append(part) for part in parts]


def _count(counted: Counter[What], what: What) -> bool:
    """Count a call.  Return whether enough calls like it were recorded in full."""
    if what not in counted and len(counted) >= MAX_REPEATED:
        what = ("others", "others", "others", what[3], "others")
        counted.setdefault(what, IN_FULL)  # none of them is recorded in full
    counted[what] += 1
    return counted[what] > IN_FULL


def _parts(counts: list[T]) -> Iterator[tuple[T, ...]]:
    return (tuple(counts[begin : begin + IN_A_RECORD]) for begin in range(0, len(counts), IN_A_RECORD))
