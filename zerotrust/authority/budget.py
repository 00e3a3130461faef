"""A budget that fills again with time: it bounds the cost of one side at a moment, and in the long run."""

import time
from collections.abc import Callable


class Budget:
    """At most `burst` at once, and `per_second` from then on."""

    def __init__(self, burst: float, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst, self._per_second, self._clock = burst, per_second, clock
        self._left, self._at = burst, clock()

    def take(self, cost: float) -> bool:
        """Return whether this much is left, and take it if it is."""
        now = self._clock()
        self._left, self._at = min(self._burst, self._left + (now - self._at) * self._per_second), now
        if cost > self._left:
            return False
        self._left -= cost
        return True

    def give_back(self, cost: float) -> None:
        self._left += cost
