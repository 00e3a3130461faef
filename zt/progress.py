"""Tells a person how far a long command is: nothing in the first two seconds, then every two."""

import time

from zt.output import output

SECONDS = 2


class Progress:
    """Counts what is done."""

    def __init__(self, what: str, whole: int) -> None:
        self._what, self._whole, self._next = what, whole, time.monotonic() + SECONDS

    def at(self, count: int) -> None:
        """Tell it if it is time; a look at the clock for every thousandth."""
        if not count % 1_000 and time.monotonic() > self._next:
            self._next = time.monotonic() + SECONDS
            output.remind(f"{self._what}: {count:,} of {self._whole:,}")
