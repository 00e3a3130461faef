"""How many requests each caller may have under way at once, so that nobody takes what is there for others.  Pure."""

from collections import Counter
from collections.abc import Hashable

OF_A_PERSON = 10
"""Requests of one user, sent by a person's own client.  Nobody waits for more tasks of theirs at once."""

OF_A_USER = 40
"""Requests in one user's name, sent by one party: one for each task, and those of tasks that were broken off."""

OF_A_PARTY = 100
"""Requests that one party sends, and requests that all people send together, whatever users they are for.  A party
keeps no more connections than that (`connections.py`), and the last service in a chain has no more under way than the
first has let in."""


class InFlight:
    """Who has how many requests under way."""

    def __init__(self) -> None:
        self._held: Counter[Hashable] = Counter()

    def take(self, caller: Hashable, most: int) -> bool:
        """Count one more for this caller, unless it has `most` already; return whether it was counted."""
        if self._held[caller] >= most:
            return False
        self._held[caller] += 1
        return True

    def give_back(self, caller: Hashable) -> None:
        """Count one less."""
        self._held[caller] -= 1
        if not self._held[caller]:
            del self._held[caller]  # nobody is remembered who has nothing under way
