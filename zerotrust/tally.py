"""Counts callers that were never verified, so that a flood of them costs one record a second and not the disk."""

import asyncio
import time
from collections import Counter

from zerotrust.audit import Journal

MAX_PEERS = 1000
"""Different callers told apart within a second; the rest are counted together."""


class Tally:
    """Refusals before verification, and what a caller did without a token, by peer and reason."""

    def __init__(self, journal: Journal, *, interval: float = 1.0) -> None:
        self._journal, self._interval = journal, interval
        self._counts: Counter[tuple[str, str]] = Counter()
        self._due: asyncio.TimerHandle | None = None

    def count(self, peer: str, reason: str) -> None:
        """Count one; what was counted is written within `interval` seconds."""
        if not self._counts:
            self._due = asyncio.get_running_loop().call_later(self._interval, self._write)
        if (peer, reason) not in self._counts and len(self._counts) >= MAX_PEERS:
            peer = "others"
        self._counts[peer, reason] += 1

    async def flush(self) -> None:
        """Write what was counted, now.  Raises `JournalError`."""
        if self._due:
            self._due.cancel()
        if self._counts:
            await self._write()

    def _write(self) -> asyncio.Future[None]:
        counts, self._counts = self._counts, Counter()
        seen = [{"peer": peer, "reason": reason, "times": times} for (peer, reason), times in counts.items()]
        return self._journal.append({"at": time.time(), "event": "unverified", "seen": seen})
