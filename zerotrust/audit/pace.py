"""Tells whether the disk is quick enough for an event loop to wait for it."""

import time

QUICK = 0.0005
"""Seconds that a commit may take on average.  To hand it to a thread and back takes about half of that."""

SLOW = 0.005
"""Seconds that no commit may take."""

PAUSE, LONGEST_PAUSE = 1, 16
"""Seconds for which no event loop waits for a slow disk; twice as long each time that it is still slow afterwards."""

_OF = 16
"""Commits over which the average goes, roughly."""


class Pace:
    """How quick the disk was of late, by the commits that an event loop waited for."""

    def __init__(self) -> None:
        self._average, self._pause, self._slow_until = 0.0, PAUSE, float("-inf")

    @property
    def quick(self) -> bool:
        """Whether an event loop may wait for the next commit."""
        return time.monotonic() >= self._slow_until

    def took(self, seconds: float) -> None:
        """Note how long a commit took."""
        self._average += (seconds - self._average) / _OF
        if seconds <= QUICK:
            self._pause = PAUSE
        if seconds >= SLOW or self._average > QUICK:
            self._average, self._slow_until = 0.0, time.monotonic() + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
