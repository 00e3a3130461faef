"""How many entries a user may cause among what is revoked.  Over that, one entry revokes more of theirs.  Pure."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable

from zerotrust.revocation_list import RETENTION, Kind, Revocable, Whose, time_of

TOKENS = 20
"""Tokens of a user that were issued to the same client and are remembered one by one."""
SESSIONS = 1000
"""Sessions of a user that are remembered one by one."""
MOST_OF_A_USER: dict[Kind, int] = {"token": TOKENS, "session": SESSIONS}
MOST_IN_ALL = 100_000
"""Entries beyond which no user has a share: what a party reads anew in every minute has to stay bearable."""


class Shares:
    """When each user has caused entries of each kind, as far back as those are remembered."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._used: OrderedDict[tuple[Kind, Whose], deque[float]] = OrderedDict()

    def take(self, kind: Kind, instead: Revocable, *, entries: int) -> bool:
        """Whether there is room for one more entry of this kind, which it takes; `entries` are there in all.

        `instead` is the time that would do in its place: it says whose share it is.
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
