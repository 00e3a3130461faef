"""Every test has a time limit: a test that hangs fails, and says where each of its tasks stands."""

import asyncio
import signal
from collections.abc import Generator
from types import FrameType

import pytest

SECONDS = 1200  # a start of the real system on a busy machine, and the test after it
EXHAUSTIVE = 7200  # a run of minutes, many times over: `make faults`
AGAIN = 10  # s until the next failure, if something took the first one for its own


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, None, None]:
    """Limit a test with its fixtures."""
    seconds = EXHAUSTIVE if item.get_closest_marker("exhaustive") else SECONDS

    def end(_number: int, _frame: FrameType | None) -> None:
        # The traceback of this failure ends in the event loop, so it cannot show where a task waits.
        loop = asyncio._get_running_loop()
        for task in asyncio.all_tasks(loop) if loop else ():
            task.print_stack()
        # The event loop hands this on from any task; every other failure would stay in a background task.
        raise SystemExit(f"the test did not end within {seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    left = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, *left)
        signal.signal(signal.SIGALRM, before)
