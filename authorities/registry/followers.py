"""Who follows the registry's stream.  No party holds more than a few streams, and none of them costs without end."""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

STREAMS_EACH = 4
"""Streams that a party may follow at a time, and begin within a second.  It needs one, and for a moment another when it
begins anew; the rest is for replicas.  One more ends its oldest, and one that begins too soon waits."""
MAX_BEHIND = 1000
"""Lines that a follower may be behind; then it is cut off, and begins anew with the whole state."""


class Follower:
    """One stream: what it has still to be sent."""

    def __init__(self) -> None:
        self.begun = False
        """Whether what is sent now is for it, too: it has been given the state that this changes."""
        self.over = False
        self._lines: asyncio.Queue[str] = asyncio.Queue(MAX_BEHIND)  # control: follower-queue-bounded

    def put(self, line: str) -> None:
        """Have a line sent, unless there is no room for it: then nothing more is."""
        try:
            self._lines.put_nowait(line)
        except asyncio.QueueFull:
            self.over = True

    def end(self) -> None:
        """Have nothing more sent than what waits."""
        self.over = True
        with suppress(asyncio.QueueFull):
            self._lines.put_nowait("")

    async def next(self) -> str:
        """The next line, or none where it is over."""
        return "" if self.over and self._lines.empty() else await self._lines.get()


class Followers:
    """All streams, by party."""

    def __init__(self) -> None:
        self._all: dict[str, list[Follower]] = {}
        self._begun: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=STREAMS_EACH))

    @property
    def parties(self) -> set[str]:
        """Who follows now, by SPIFFE ID."""
        return set(self._all)

    @contextmanager
    def following(self, party: str) -> Iterator[Follower]:
        """One more stream of this party, in this block; its oldest ends where that is one too many."""
        streams = self._all.setdefault(party, [])
        if len(streams) >= STREAMS_EACH:  # control: streams-per-party
            streams.pop(0).end()
        streams.append(follower := Follower())
        try:
            yield follower
        finally:
            if follower in streams:
                streams.remove(follower)
            if not streams and self._all.get(party) is streams:
                del self._all[party]

    async def turn(self, party: str, follower: Follower) -> None:
        """Return when this party may begin another stream; at once where this one is over by then."""
        begun = self._begun[party]
        while not follower.over and len(begun) == STREAMS_EACH:
            if (wait := begun[0] + 1 - time.monotonic()) <= 0:
                break
            await asyncio.sleep(wait)
        if not follower.over:
            begun.append(time.monotonic())

    def send(self, line: str) -> None:
        """Send a line to everybody who has been given the state."""
        for streams in self._all.values():
            for follower in streams:
                if follower.begun and not follower.over:
                    follower.put(line)

    def end(self, party: str) -> None:
        """End every stream of this party, after what waits for it."""
        for follower in self._all.get(party, ()):
            follower.end()
