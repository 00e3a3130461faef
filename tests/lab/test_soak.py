"""The soak in short: everybody does everything once, at the same time, on the real system."""

import asyncio
import random
from contextlib import AsyncExitStack

import httpx
import pytest

from demo.refusals import Intruder
from lab.soak.load import Score, users
from lab.soak.operator import Suspension, Suspensions
from lab.soak.users import OWN, User, kinds_of, wrong
from lab.soak.watch import MOST_FILES, SLACK, Held, grown, held
from local.system import System


@pytest.mark.e2e
@pytest.mark.asyncio(loop_scope="session")
async def test_everybody_does_everything_at_once_and_every_answer_is_right(real: System) -> None:
    score = Score()

    async def everything(user: User) -> None:
        kinds = kinds_of(user.name)
        for what in user.chance.sample(list(kinds), len(kinds)):
            await score.once(user, what, kinds[what])

    async with users(real, 5) as everybody:
        await asyncio.gather(score.suspensions.once(real), *(everything(user) for user in everybody))

    assert score.wrong == []
    assert len(score.suspensions.seen) == 1
    assert score.tried == sum(len(kinds_of(name)) for name in ("alice", "bob", "alice", "bob", "eve"))
    assert all(held(one.process.pid).files < MOST_FILES for one in real.authority.running)


@pytest.fixture
async def alice() -> User:
    return User("alice", Intruder(None, AsyncExitStack()), random.Random(1), asyncio.Lock())  # type: ignore[arg-type]  # noqa: S311


def told(user: User, text: str, *, event: str = "finished", trace: str = "t1", agent: str = "agent/reader") -> str:
    steps = [{"event": "done", "agent": agent, "trace_id": trace}, {"event": event, "trace_id": trace}]
    return wrong(user, httpx.Response(200, text=text), steps, "agent/reader", OWN[user.name])


async def test_an_answer_with_what_its_user_may_read_is_right(alice: User) -> None:
    assert told(alice, "pager storm") == ""


async def test_another_departments_report_in_an_answer_is_wrong(alice: User) -> None:
    assert "was told about ['Revenue']" in told(alice, "pager storm, and Revenue is expected to fall")


async def test_an_answer_without_what_its_user_asked_for_is_wrong(alice: User) -> None:
    assert "was not told about" in told(alice, "No document was found.")


async def test_the_trace_of_another_task_is_wrong(alice: User) -> None:
    told(alice, "pager storm", trace="t1")

    assert "trace of another task" in told(alice, "pager storm", trace="t1")


async def test_a_task_that_did_not_finish_or_ended_at_another_agent_is_wrong(alice: User) -> None:
    assert told(alice, "pager storm", event="failed").startswith("200")
    assert told(alice, "pager storm", agent="agent/writer").startswith("200")


async def test_an_error_on_the_way_is_counted_as_wrong(alice: User) -> None:
    score = Score()

    async def fails(_: User) -> str:
        raise httpx.ReadError("gone")

    await score.once(alice, "fails", fails)

    assert (score.tried, score.wrong) == (1, ["alice fails: ReadError: gone"])


REFUSED = "200: agent/writer: refused with 401, revoked"


@pytest.mark.parametrize(
    ("answer", "began", "ended", "wrong"),
    [
        ("", 0, 9, ""),
        ("", 9, 11, ""),  # it may have been before her word was heard everywhere
        ("", 13, 14, "it was done, and agent/writer was suspended"),
        (REFUSED, 13, 14, ""),
        (REFUSED, 9, 21, ""),
        (REFUSED, 0, 9, REFUSED),
        (REFUSED, 22, 23, REFUSED),
        ("500: failed", 13, 14, "500: failed"),
    ],
)
def test_what_the_suspended_writer_has_a_part_in_is_refused_meanwhile_and_at_no_other_time(
    answer: str, began: float, ended: float, wrong: str
) -> None:
    suspensions = Suspensions([Suspension(began=10, holds=12, ending=20, over=21)])

    assert suspensions.judged(answer, began, ended) == wrong


def test_a_process_that_keeps_its_memory_is_flat() -> None:
    assert grown({"reader": [Held(100, 50, 20), Held(100 + SLACK, 50, 20), Held(100, 50, 20)]}) == []


def test_a_process_that_grows_is_not() -> None:
    assert grown({"reader": [Held(100, 50, 20), Held(110, 50, 20), Held(120, 50, 20)]}) == [
        "reader grew from 100 to 120 MiB"
    ]


def test_a_process_that_leaves_files_open_is_not() -> None:
    assert grown({"reader": [Held(100, 50, 20), Held(100, MOST_FILES + 1, 20)]}) == ["reader held 251 files"]
