"""A test that hangs fails, and says where it waits."""

import asyncio

import pytest

from tests.support import time_limit


async def hang() -> None:
    await asyncio.Event().wait()


def test_a_test_that_hangs_fails_and_shows_where_it_waits(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(time_limit, "SECONDS", 1)
    limited = time_limit.pytest_runtest_protocol(request.node)
    next(limited)
    try:
        with pytest.raises(pytest.fail.Exception):
            asyncio.run(hang())
    finally:
        limited.close()
    assert "in hang" in capsys.readouterr().err
