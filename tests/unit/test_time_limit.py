"""A test that hangs fails, and says where it waits."""

import asyncio
import signal

import pytest

from tests.support import time_limit


async def hang() -> None:
    asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGALRM)  # as when its time is over
    await asyncio.Event().wait()


def test_a_test_that_hangs_fails_and_shows_where_it_waits(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    limited = time_limit.pytest_runtest_protocol(request.node)
    next(limited)
    try:
        with pytest.raises(SystemExit):  # any other error would stay in the task that it is raised in
            asyncio.run(hang())
    finally:
        limited.close()
    assert "in hang" in capsys.readouterr().err
