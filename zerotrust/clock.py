"""Time that never goes back: what has ended here stays ended, whatever becomes of the machine's clock."""

from collections.abc import Callable


class NonDecreasingClock:
    """A clock that stands still while the one it reads lies behind what it has read before."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._latest = clock, float("-inf")

    def __call__(self) -> float:
        self._latest = max(self._latest, self._clock())
        return self._latest
