"""Reports what a long step is doing while it runs."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

Say = Callable[[str], None]
"""Takes a line of progress."""

SAID_AFTER = 2
"""Seconds after which a step reports that it still runs; then after twice as many, and so on."""
OFTEN = 60
"""Seconds between two such reports at most."""


@asynccontextmanager
async def reporting_progress(say: Say, what: str, doing: Callable[[], str] = str) -> AsyncIterator[None]:
    """Report that `what` still runs, and what it is `doing`, while the block runs: after 2, 4, 8 ... seconds."""
    began = time.monotonic()

    async def tell() -> None:
        seconds: float = SAID_AFTER
        while True:
            await asyncio.sleep(began + seconds - time.monotonic())
            say(f"{what}: {seconds:.0f} s so far" + (f"; {now}" if (now := doing()) else ""))
            seconds += min(seconds, OFTEN)

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()
