"""A clock that never goes back: what has expired stays expired, even if the machine's clock is set back."""

from collections.abc import Callable


class NonDecreasingClock:
    """Reads another clock, and repeats the latest time while that clock is behind it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._latest = clock, float("-inf")

    def __call__(self) -> float:
        now = self._clock()
        if now < self._latest:  # control: clock-non-decreasing
            return self._latest
        self._latest = now
        return now
