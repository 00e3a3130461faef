"""Which events are new.  Pure.

Events are committed out of order: the last ten seconds before the newest one that is known are read again each time, by
Keycloak's clock, and what is known is dropped.
"""

from collections.abc import Iterable

from authorities.registry.events import Event

OVERLAP = 10_000
"""Milliseconds by which an event may become visible later than a newer one."""


class Window:
    """What has been taken of one kind of events."""

    def __init__(self, since: int) -> None:
        """`since` is in milliseconds since the epoch, by Keycloak's clock."""
        self._newest, self._known = since, dict[str, int]()

    @property
    def begins(self) -> int:
        """From when on to read, in milliseconds."""
        return self._newest - OVERLAP

    def lost(self, found: Iterable[Event]) -> bool:
        """Whether something that was there, and ought to be there still, is not."""
        return not self._known.keys() <= {event["id"] for event in found}

    def new(self, found: Iterable[Event]) -> list[Event]:
        """Those not taken yet, each once, oldest first."""
        new = {event["id"]: event for event in found if event["id"] not in self._known}
        return sorted(new.values(), key=lambda event: int(event["time"]))

    def taken(self, found: Iterable[Event]) -> None:
        """Note that everything in `found` has had its effect."""
        times = {str(event["id"]): int(event["time"]) for event in found}
        self._newest = max([self._newest, *times.values()])
        self._known = {event: at for event, at in times.items() if at >= self.begins}
