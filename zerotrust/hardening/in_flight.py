"""Limits the requests that each caller may have under way, so that none uses up the capacity of others.  Pure."""

from collections.abc import Hashable

OF_A_PERSON = 10
"""Requests of one user, sent by the client that the user uses.  No person waits for more tasks at once."""

OF_A_USER = 40
"""Requests for one user, sent by one party: one for each task, and those that remain of tasks that were cut off."""

OF_A_PARTY = 100
"""Requests of one party, for any user; and requests of all clients without a certificate together.  A party keeps no
more connections than that (`pools.py`), and the last service in a chain has no more under way than the first admits."""

PEOPLE = "people"
"""The sender under which all callers without a certificate are counted."""


class InFlight:
    """Counts the requests that each caller has under way."""

    def __init__(self) -> None:
        self._held: dict[Hashable, int] = {}

    def take(self, caller: Hashable, most: int) -> bool:
        """Count one more for this caller, unless it has `most` already.  Return whether it was counted."""
        held = self._held.get(caller, 0)
        if held < most:
            self._held[caller] = held + 1
        return held < most

    def give_back(self, caller: Hashable) -> None:
        self._held[caller] -= 1
        if not self._held[caller]:
            del self._held[caller]  # keep no entry for a caller with nothing under way
