"""How many requests each caller may have under way at once, so that nobody takes what is there for others.  Pure."""

from collections import Counter
from collections.abc import Hashable
from contextlib import ExitStack

from zerotrust.decision import Denied, Reason

OF_A_PERSON = 10
"""Requests of one user, sent by a person's own client.  Nobody waits for more tasks of theirs at once."""

OF_A_USER = 40
"""Requests in one user's name, sent by one party: one for each task, and those of tasks that were broken off."""

OF_A_PARTY = 100
"""Requests that one party sends, and requests that all people send together, whatever users they are for.  A party
keeps no more connections than that (`pools.py`), and the last service in a chain has no more under way than the
first has let in."""


PEOPLE = "people"
"""As whom those are counted together who come without a certificate."""


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


class Limits:
    """The requests under way at one gate: those of each user, and those of each sender."""

    def __init__(self) -> None:
        self._of_users, self._of_senders = InFlight(), InFlight()

    def enter(self, peer: str | None, user: str | None, over: ExitStack) -> None:
        """Count one request, until `over` is closed.  Raises `Denied` where that is one too many.

        `peer`: the SPIFFE ID of who sends it, None for a person's client.  `user`: in whose name, if in any.
        A user's share is counted for each sender: what one party sends in their name takes no room from what another
        one sends.
        """
        sender, most = peer or PEOPLE, OF_A_USER if peer else OF_A_PERSON
        if user is not None:
            if not self._of_users.take((user, sender), most):
                raise Denied(Reason.TOO_MANY_REQUESTS, f"this user has {most} under way, sent by {sender}")
            over.callback(self._of_users.give_back, (user, sender))
        if not self._of_senders.take(sender, OF_A_PARTY):
            raise Denied(Reason.BUSY, f"{sender}: {OF_A_PARTY} under way")
        over.callback(self._of_senders.give_back, sender)
