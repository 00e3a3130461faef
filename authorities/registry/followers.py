"""The parties that follow the registry's feed.  The number of streams of each party, and their cost, is bounded."""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

STREAMS_EACH = 4
"""Streams that a party may have at a time, and start within a second.  It needs one, and a second one for a moment when
it reconnects; the rest is for replicas.  A further stream ends its oldest, and a stream that starts too early waits."""
MAX_BEHIND = 1000
"""Lines that a follower may be behind; then its stream is ended, and it starts again with the whole state."""


class Follower:
    """One stream, and the lines to be sent on it."""

    def __init__(self, until: float = 0.0) -> None:
        """`until`: the end of the stream with the party's certificate, in seconds since the epoch."""
        self.until = until
        self.begun = False
        """Whether it gets new lines, because it has the state that they change."""
        self.over = False
        self._lines: asyncio.Queue[str] = asyncio.Queue(MAX_BEHIND)  # control: follower-queue-bounded

    def put(self, line: str) -> None:
        """Queue a line; if the queue is full, end the stream."""
        try:
            self._lines.put_nowait(line)
        except asyncio.QueueFull:
            self.over = True

    def end(self) -> None:
        """End the stream after the queued lines."""
        self.over = True
        with suppress(asyncio.QueueFull):
            self._lines.put_nowait("")

    async def next(self) -> str:
        """Return the next line, or "" at the end of the stream."""
        return "" if self.over and self._lines.empty() else await self._lines.get()


class Followers:
    """All streams, by party."""

    def __init__(self) -> None:
        self._all: dict[str, list[Follower]] = {}
        self._open = True
        self._begun: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=STREAMS_EACH))

    @property
    def parties(self) -> set[str]:
        return set(self._all)

    @contextmanager
    def following(self, party: str, until: float = 0.0) -> Iterator[Follower]:
        """Open a stream of this party for this block; if there are too many, end the party's oldest."""
        streams = self._all.setdefault(party, [])
        if len(streams) >= STREAMS_EACH:  # control: streams-per-party
            streams.pop(0).end()
        streams.append(follower := Follower(until))
        follower.over = not self._open
        try:
            yield follower
        finally:
            if follower in streams:
                streams.remove(follower)
            if not streams and self._all.get(party) is streams:
                del self._all[party]

    async def wait_turn(self, party: str, follower: Follower) -> None:
        """Return when this party may start another stream, or when this stream is over."""
        begun = self._begun[party]
        while not follower.over and len(begun) == STREAMS_EACH:
            if (wait := begun[0] + 1 - time.monotonic()) <= 0:
                break
            await asyncio.sleep(wait)
        if not follower.over:
            begun.append(time.monotonic())

    def send(self, line: str) -> None:
        """Send a line on every stream that has the state."""
        for streams in self._all.values():
            for follower in streams:
                if follower.begun and not follower.over:
                    follower.put(line)

    def until(self, party: str) -> float | None:
        """Return when the last stream of this party ends; None if it follows nothing."""
        return max((follower.until for follower in self._all.get(party, ())), default=None)

    def close(self) -> None:
        """End every stream, and each further one before it begins."""
        self._open = False
        for party in self._all:
            self.end(party)

    def end(self, party: str) -> None:
        """End every stream of this party, after its queued lines."""
        for follower in self._all.get(party, ()):
            follower.end()
