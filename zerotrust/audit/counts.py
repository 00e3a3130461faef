"""Counts what may come in floods, so that a flood costs the disk one record a second.

Callers that were never verified are counted from the first.  A verified one's refusals are written in full until they
repeat themselves: nobody learns more from the thousandth than from the third.
"""

import asyncio
import time
from collections import Counter

from zerotrust.audit.journal import Journal

MAX_PEERS = 1000
"""Different callers told apart within a second; the rest are counted together."""

IN_FULL = 3
"""Refusals that are written in full within a second, of one user's tokens for one party, presented by one peer, for one
reason at one route."""

MAX_REPEATED = 1000
"""Different refusals told apart within a second; the rest are counted together, by their reason."""


class Tally:
    """What was refused before verification, or again and again, and what a caller did without a token."""

    def __init__(self, journal: Journal, *, interval: float = 1.0) -> None:
        self._journal, self._interval = journal, interval
        self._counts: Counter[tuple[str, str]] = Counter()
        self._refused: Counter[tuple[str, str, str | None, str, str]] = Counter()
        self._due: asyncio.TimerHandle | None = None

    def count(self, peer: str, reason: str) -> None:
        """Count one; what was counted is written within `interval` seconds."""
        self._begin()
        if (peer, reason) not in self._counts and len(self._counts) >= MAX_PEERS:
            peer = "others"
        self._counts[peer, reason] += 1

    def repeated(self, subject: str, party: str, peer: str | None, reason: str, route: str) -> bool:
        """Count a refusal of a verified caller; return whether that is enough, or it is to be written in full.

        `party` is the one that the token was issued to, `peer` the one that presented it, None one
        without a certificate.  They differ where a token was stolen: refusals of one must not hide those of another.
        """
        self._begin()
        what = (subject, party, peer, reason, route)
        if what not in self._refused and len(self._refused) >= MAX_REPEATED:
            what = ("others", "others", "others", reason, "others")
            self._refused.setdefault(what, IN_FULL)  # none of them is written in full
        self._refused[what] += 1
        return self._refused[what] > IN_FULL

    async def flush(self) -> None:
        """Write what was counted, now.  Raises `JournalError`."""
        if self._due:
            self._due.cancel()
        for written in self._write():
            await written

    def _begin(self) -> None:
        if not self._counts and not self._refused:
            self._due = asyncio.get_running_loop().call_later(self._interval, self._write)

    def _write(self) -> list[asyncio.Future[None]]:
        counts, self._counts = self._counts, Counter()
        refused, self._refused = self._refused, Counter()
        unverified = [{"peer": peer, "reason": reason, "times": times} for (peer, reason), times in counts.items()]
        repeated = [
            {
                "subject": subject,
                "party": party,
                "peer": peer,
                "reason": reason,
                "operation": route,
                "times": times - IN_FULL,
            }
            for (subject, party, peer, reason, route), times in refused.items()
            if times > IN_FULL
        ]
        seen = {"unverified": unverified, "refused again": repeated}
        return [
            self._journal.append({"at": time.time(), "event": event, "seen": entries})
            for event, entries in seen.items()
            if entries
        ]
