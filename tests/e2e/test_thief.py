"""The lab's thief on the real system, as the console asks it."""

import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from unittest.mock import patch

import pytest
import pytest_asyncio

from console.thief import Thief
from console.tokens import WAYS
from demo.revocation_methods import EVERYWHERE
from start.system import System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(loop_scope="session")
async def thief(system: System) -> AsyncIterator[Thief]:
    with patch.dict(os.environ, ZT_THIEF_SOCKET=str(system.insider_socket("thief"))):
        yield Thief()


@pytest.mark.parametrize("way", WAYS)
async def test_what_the_holder_may_do_is_refused_to_the_thief(thief: Thief, way: str) -> None:
    used = await thief.use(way, "alice")

    assert used.before == "200 ok"
    assert (used.status, used.reason) == (400 if way == "more-scope" else 401, WAYS[way]["reason"])


async def test_a_probe_tells_the_first_answer_of_each_service_and_when_it_changes(thief: Thief) -> None:
    async with aclosing(thief.lines({"order": "probe", "seconds": 2})) as lines:
        began, *answers, end = [line async for line in lines]

    assert (began["event"], end["event"]) == ("began", "end")
    assert {"user", "session", "token"} < began.keys()
    assert sorted(one["service"] for one in answers) == sorted(EVERYWHERE)
    assert not any(one["refused"] for one in answers)
    assert all(began["mono"] < one["mono"] < end["mono"] for one in answers)
