"""Limits the revocations that a user can cause; over the limit, one entry revokes more of the user's tokens."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable

from zerotrust.revocation_list import RETENTION, Kind, Revocable, Whose, time_of

TOKENS = 20
"""Revoked tokens of a user, issued to the same client, that have an entry each.  No user needs more in ten minutes, and
one user must not fill the list that every party holds."""
SESSIONS = 1000
"""Revoked sessions of a user that have an entry each."""
MOST_OF_A_USER: dict[Kind, int] = {"token": TOKENS, "session": SESSIONS}
MOST_IN_ALL = 100_000
"""Entries in all, beyond which no user has a share, because every party reads the whole state each minute."""


class Quota:
    """The times at which each user caused entries of each kind, for as long as those are kept."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._used: OrderedDict[tuple[Kind, Whose], deque[float]] = OrderedDict()

    def take(self, kind: Kind, instead: Revocable, *, entries: int) -> bool:
        """Take room for one more entry of this kind; return False if there is none.  `entries`: their number in all.

        `instead` is the time that could be revoked instead, and names the user whose share counts.
        """
        now = self._clock()
        while self._used and next(iter(self._used.values()))[-1] < now - max(RETENTION.values()):
            self._used.popitem(last=False)
        if entries >= MOST_IN_ALL:
            return False
        key = kind, time_of(instead)[1]
        used = self._used.setdefault(key, deque(maxlen=MOST_OF_A_USER[kind]))
        if len(used) == used.maxlen and used[0] >= now - RETENTION[kind]:
            return False
        used.append(now)
        self._used.move_to_end(key)
        return True
