"""Which events are new.

Events are committed out of order: the last ten seconds before the newest one that is known are read again each time, by
Keycloak's clock, and what is known is dropped.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from authorities.registry.keycloak.events import Event

OVERLAP = 10_000
"""Milliseconds by which an event may become visible later than a newer one."""

Ask = Callable[[dict[str, Any]], Awaitable[list[Event]]]
"""Asks Keycloak for events (`GET /admin/realms/{realm}/events`, `.../admin-events`)."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was read."""

    found: Sequence[Event]
    new: list[Event]
    """Those not taken yet, each once, oldest first."""
    lost: bool
    """Whether something that was there, and ought to be there still, is not."""
    until: float
    """Up to when, in milliseconds, all is there that there is; without an end where that was all."""

    @property
    def complete(self) -> bool:
        """Whether that was all there is by now."""
        return self.until == float("inf")


class Window:
    """What has been taken of one kind of events."""

    def __init__(self, since: int) -> None:
        """`since` is in milliseconds since the epoch, by Keycloak's clock."""
        self._newest, self._known = since, dict[str, int]()

    @property
    def begins(self) -> int:
        """From when on to read, in milliseconds."""
        return self._newest - OVERLAP

    async def read(self, ask: Ask, most: int, kept_since: int = 0, **query: Any) -> Found:
        """Read what is known and ought to be there still, and at most so much more, the oldest first.

        Keycloak may have forgotten what happened before `kept_since`, in milliseconds.
        """
        most += len(self._known)
        # One question each: between two pages, events of the same millisecond could change places.
        page = {**query, "dateFrom": str(self.begins), "direction": "asc", "max": str(most)}
        return self.looked_at(await ask(page), most, kept_since)

    def looked_at(self, found: Sequence[Event], most: int, kept_since: int = 0) -> Found:
        """What is to be known of an answer that has `most` events if there are more.  Pure."""
        until = float("inf") if len(found) < most else max(int(event["time"]) for event in found)
        there = {str(event["id"]): event for event in found}
        lost = any(kept_since <= at < until and name not in there for name, at in self._known.items())
        new = [event for name, event in there.items() if name not in self._known]
        return Found(found, sorted(new, key=lambda event: int(event["time"])), lost, until)

    def taken(self, one: Found) -> None:
        """Note that everything in it has had its effect."""
        times = {str(event["id"]): int(event["time"]) for event in one.found}
        beyond = {event: at for event, at in self._known.items() if at >= one.until}
        self._newest = max([self._newest, *times.values()])
        self._known = {event: at for event, at in (beyond | times).items() if at >= self.begins}
