"""Finds the new events of each read.

Events are committed out of order.  So each read covers again the last ten seconds, by Keycloak's clock, before the
newest known event, and known events are dropped.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from authorities.registry.keycloak.events import Event

OVERLAP = 10_000
"""Milliseconds by which an event may become visible later than a newer event."""

Ask = Callable[[dict[str, Any]], Awaitable[list[Event]]]
"""Requests events from Keycloak (`GET /admin/realms/{realm}/events`, `.../admin-events`)."""


@dataclass(frozen=True, slots=True)
class Found:
    """The result of one read."""

    found: Sequence[Event]
    new: list[Event]
    """The events still without effect, each once, the oldest first."""
    lost: bool
    """Whether an event that should still exist is missing."""
    until: float
    """The time in milliseconds up to which the read has all events; infinite if it has all until now."""

    @property
    def complete(self) -> bool:
        """Whether the read has all events until now."""
        return self.until == float("inf")


class Window:
    """The events of one kind that have taken effect."""

    def __init__(self, since: int) -> None:
        """`since` is in milliseconds since the epoch, by Keycloak's clock."""
        self._newest, self._known = since, dict[str, int]()

    @property
    def start(self) -> int:
        """The time from which to read, in milliseconds."""
        return self._newest - OVERLAP

    async def read(self, ask: Ask, most: int, kept_since: int = 0, **query: Any) -> Found:
        """Read the known events that should still exist, and at most `most` others, the oldest first.

        Keycloak may have deleted events from before `kept_since`, in milliseconds.
        """
        most += len(self._known)
        # In one page, because between two pages, events of the same millisecond could change places.
        page = {**query, "dateFrom": str(self.start), "direction": "asc", "max": str(most)}
        return self.examine(await ask(page), most, kept_since)

    def examine(self, found: Sequence[Event], most: int, kept_since: int = 0) -> Found:
        """Return the result for an answer of at most `most` events; with exactly `most`, there may be more.  Pure."""
        until = float("inf") if len(found) < most else max(int(event["time"]) for event in found)
        there = {str(event["id"]): event for event in found}
        lost = any(kept_since <= at < until and name not in there for name, at in self._known.items())
        new = [event for name, event in there.items() if name not in self._known]
        return Found(found, sorted(new, key=lambda event: int(event["time"])), lost, until)

    def note_taken(self, one: Found) -> None:
        """Note that all events of this result have taken effect."""
        times = {str(event["id"]): int(event["time"]) for event in one.found}
        beyond = {event: at for event, at in self._known.items() if at >= one.until}
        self._newest = max([self._newest, *times.values()])
        self._known = {event: at for event, at in (beyond | times).items() if at >= self.start}
