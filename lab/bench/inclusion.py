"""Measures how long it takes from a record at a service to its leaf under a published checkpoint, which is cosigned."""

import asyncio
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from zerotrust.audit.event_types import Access, Request
from zerotrust.audit.forms import MICROSECONDS
from zerotrust.audit.leaf import Record, leaf_of
from zerotrust.tlog.tiles import WIDTH, entries_of, path

POLLED = 0.005
"""Seconds between two looks at the checkpoint."""


class Inclusion:
    """When each size of a log was first seen as published."""

    def __init__(self, folder: Path) -> None:
        """`folder`: the log (c2sp.org/tlog-tiles)."""
        self._folder = folder
        self._sizes: list[int] = []
        self._times: list[float] = []

    def note(self, now: float) -> None:
        """Note the size that is published now."""
        with suppress(FileNotFoundError):  # before the first checkpoint
            size = int((self._folder / "checkpoint").read_text().split("\n")[1])  # c2sp.org/tlog-checkpoint
            if size not in self._sizes[-1:]:
                self._sizes.append(size)
                self._times.append(now)

    def seconds(self) -> list[float]:
        """Return the seconds of each record that was made and published meanwhile and that an act has waited for.

        They count from the time in the record, which is made just before it is committed.
        """
        found = []
        for number, leaf in self._leaves():
            one = leaf_of(leaf)
            if not isinstance(one, Record) or not isinstance(one.event.data, Request | Access):
                continue
            if (made := one.event.time / MICROSECONDS) >= self._times[0]:
                found.append(self._times[bisect_right(self._sizes, number)] - made)
        return found

    def _leaves(self) -> Iterator[tuple[int, bytes]]:
        first, size = (self._sizes[0], self._sizes[-1]) if self._sizes else (0, 0)
        for bundle in range(first // WIDTH, -(-size // WIDTH)):
            width = min(WIDTH, size - bundle * WIDTH)
            raw = self._folder / path("entries", bundle, width)
            full = self._folder / path("entries", bundle)  # it replaces the part, once there is more
            content = full.read_bytes() if full.exists() else raw.read_bytes()
            entries = entries_of(content, WIDTH if full.exists() else width)[:width]
            yield from ((number, leaf) for number, leaf in enumerate(entries, bundle * WIDTH) if number >= first)


@asynccontextmanager
async def inclusion(folder: Path) -> AsyncIterator[Inclusion]:
    """Watch a log for a block."""
    seen = Inclusion(folder)

    async def watch() -> None:
        while True:
            seen.note(time.time())
            await asyncio.sleep(POLLED)

    watching = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        watching.cancel()
