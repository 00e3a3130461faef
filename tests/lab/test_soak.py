"""The soak in short: everybody does everything once, at the same time, on the real system."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

import httpx
import pytest

from demo.intruder import Intruder, User
from lab.load.judge import Ban, Call, Evidence
from lab.load.stories import OWN, THROUGH_THE_WRITER, find_fault, kinds_of
from lab.load.under_load import suspend_writer
from lab.load.users import NAMES, Score, users
from lab.load.watch import MOST_FILES, SLACK, Usage, leaks, measure
from start.system import System


@pytest.mark.e2e
@pytest.mark.asyncio(loop_scope="session")
async def test_everybody_does_everything_at_once_and_every_answer_is_right(real: System) -> None:
    score = Score()

    async def everything(user: User) -> None:
        kinds = kinds_of(user.name)
        for what in user.chance.sample(list(kinds), len(kinds)):
            await score.act(user, what, kinds[what])

    async with AsyncExitStack() as stack:
        everybody = users(real, len(NAMES), stack)
        await asyncio.gather(suspend_writer(real, score), *(everything(user) for user in everybody))

    assert score.wrong == []
    assert len(score.evidence.acknowledged) == 1
    assert score.actions == sum(len(kinds_of(name)) for name in NAMES)
    assert all(measure(one.process.pid).files < MOST_FILES for one in real.authority.running)


@pytest.fixture
async def alice() -> User:
    return User("alice", Intruder(None, AsyncExitStack()))  # type: ignore[arg-type] # nothing is sent


def told(user: User, text: str, *, event: str = "finished", trace: str = "t1", agent: str = "agent/reader") -> str:
    steps = [{"event": "done", "agent": agent, "trace_id": trace}]
    answer = {"steps": steps, "result": {"event": event, "trace_id": trace, "text": text}}
    return find_fault(user, httpx.Response(200, json=answer), "agent/reader", OWN[user.name])


async def test_an_answer_is_right_where_it_has_what_its_user_may_read_and_nothing_else(alice: User) -> None:
    assert told(alice, "pager storm") == ""
    assert "was shown ['Revenue']" in told(alice, "pager storm, and Revenue is expected to fall", trace="t2")
    assert told(alice, "pager storm", event="failed", trace="t3").startswith("200")
    assert told(alice, "pager storm", agent="agent/writer", trace="t4").startswith("200")
    assert "was not shown" in told(alice, "No document was found.", trace="t5")
    assert "trace of another task" in told(alice, "pager storm")


async def test_an_error_on_the_way_is_counted_as_wrong(alice: User) -> None:
    score = Score()

    async def fails(_: User) -> str:
        raise httpx.ReadError("gone")

    await score.act(alice, "fails", fails)

    assert (score.actions, score.wrong) == (1, ["alice fails: ReadError: gone"])


REFUSED = "200: agent/writer: refused with 401, revoked"
AWAY = "200: agent/writer: peer_unavailable"


@pytest.mark.parametrize(
    ("at", "what", "answer", "found"),
    [
        (8, "files a summary", "", ""),
        (11, "files a summary", "", ""),  # it may have been before the suspension was heard of everywhere
        (15, "files a summary", "", "files a summary answered done to alice, 5.00 s after: suspended"),
        (15, "reads a summary", "", ""),
        (9, "files a summary", REFUSED, ""),
        (15, "files a summary", REFUSED, ""),
        (21, "files a summary", REFUSED, ""),
        (8, "files a summary", REFUSED, REFUSED),
        (22, "files a summary", REFUSED, REFUSED),
        (15, "reads a summary", REFUSED, REFUSED),
        (15, "files a summary", "500: failed", "500: failed"),
        (20.5, "files a summary", AWAY, ""),  # the writer is back, and does not know yet who is revoked
        (15, "files a summary", AWAY, AWAY),
        (22, "files a summary", AWAY, AWAY),
        (20.5, "reads a summary", AWAY, AWAY),
    ],
)
async def test_what_the_suspended_writer_has_a_part_in_is_refused_meanwhile_and_at_no_other_time(
    alice: User, monkeypatch: pytest.MonkeyPatch, at: float, what: str, answer: str, found: str
) -> None:
    covers: Callable[[Call], bool] = lambda call: call.target in THROUGH_THE_WRITER  # noqa: E731
    score = Score(evidence=Evidence(bound=1, revocations=[Ban("suspended", covers, 9, since=10, until=20, over=21)]))
    monkeypatch.setattr(time, "monotonic", lambda: at)

    async def does(_: User) -> str:
        return answer

    await score.act(alice, what, does)

    assert score.wrong == ([f"alice {what}: {found}"] if found else [])


def test_a_process_that_keeps_its_memory_is_flat() -> None:
    assert leaks({"reader": [Usage(100, 50, 20), Usage(100 + SLACK, 50, 20), Usage(100, 50, 20)]}) == []


def test_a_process_that_grows_is_not() -> None:
    assert leaks({"reader": [Usage(100, 50, 20), Usage(110, 50, 20), Usage(120, 50, 20)]}) == [
        "reader grew from 100 to 120 MiB"
    ]


def test_a_process_that_leaves_files_open_is_not() -> None:
    assert leaks({"reader": [Usage(100, 50, 20), Usage(100, MOST_FILES + 1, 20)]}) == ["reader held 251 files"]
