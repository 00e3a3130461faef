"""Says what a long step is doing, while it does it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Say = Callable[[str], None]
"""Takes a line of progress."""

SAID_AFTER = 2
"""Seconds after which a step reports that it still runs; then after twice as many, and so on."""
OFTEN = 60
"""Seconds between two such reports at most."""


@contextmanager
def going_on(say: Say, what: str, doing: Callable[[], str] = str) -> Iterator[None]:
    """Report that `what` still runs, and what it is `doing`, while the block runs: after 2, 4, 8 ... seconds.

    A thread reports it, for the block may hold up an event loop.
    """
    began, ended = time.monotonic(), threading.Event()

    def tell() -> None:
        seconds: float = SAID_AFTER
        while not ended.wait(began + seconds - time.monotonic()):
            say(f"{what}: {seconds:g} s so far" + (f"; {now}" if (now := doing()) else ""))
            seconds += min(seconds, OFTEN)

    telling = threading.Thread(target=tell, name="progress", daemon=True)
    telling.start()
    try:
        yield
    finally:
        ended.set()
        telling.join()
