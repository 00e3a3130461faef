"""Limits the requests that each caller may have under way, so that none uses up the capacity of others.  Pure."""

from collections import Counter
from collections.abc import Hashable
from contextlib import ExitStack

from zerotrust.decision import Denied, Reason

OF_A_PERSON = 10
"""Requests of one user, sent by the client that the user uses.  No person waits for more tasks at once."""

OF_A_USER = 40
"""Requests for one user, sent by one party: one for each task, and those of tasks that were cut off."""

OF_A_PARTY = 100
"""Requests of one party, for any user; and requests of all clients without a certificate together.  A party keeps no
more connections than that (`pools.py`), and the last service in a chain has no more under way than the first admits."""


PEOPLE = "people"
"""The sender under which all callers without a certificate are counted."""


class InFlight:
    """Counts the requests that each caller has under way."""

    def __init__(self) -> None:
        self._held: Counter[Hashable] = Counter()

    def take(self, caller: Hashable, most: int) -> bool:
        """Count one more for this caller, unless it has `most` already.  Return whether it was counted."""
        if self._held[caller] >= most:
            return False
        self._held[caller] += 1
        return True

    def give_back(self, caller: Hashable) -> None:
        """Count one less."""
        self._held[caller] -= 1
        if not self._held[caller]:
            del self._held[caller]  # keep no entry for a caller with nothing under way


class Limits:
    """The limits of one gate, for each user and for each sender."""

    def __init__(self) -> None:
        self._of_users, self._of_senders = InFlight(), InFlight()

    def enter(self, peer: str | None, user: str | None, over: ExitStack, *, delegated: bool = False) -> None:
        """Count one request, until `over` is closed.  Raises `Denied` if there are too many.

        `peer`: the sender's SPIFFE ID, None for a client without a certificate.  `user`: the subject, if there is one.
        `delegated`: whether a party acts for the user.  A client with a certificate, such as a web console, does not.
        A user's requests are counted for each sender, so that one party does not use up the user's share at another.
        """
        sender = peer or PEOPLE
        most = OF_A_USER if delegated else OF_A_PERSON  # control: calls-per-person
        if user is not None:
            if not self._of_users.take((user, sender), most):  # control: calls-per-user
                raise Denied(Reason.TOO_MANY_REQUESTS, f"this user has {most} under way, sent by {sender}")
            over.callback(self._of_users.give_back, (user, sender))
        if not self._of_senders.take(sender, OF_A_PARTY):
            raise Denied(Reason.BUSY, f"{sender}: {OF_A_PARTY} under way")
        over.callback(self._of_senders.give_back, sender)
