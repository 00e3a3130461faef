"""A journal's way to the audit log: everything, once, in order, whatever the log does; and no request waits."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import repeat
from pathlib import Path
from unittest.mock import Mock

import httpx
import orjson
import pytest

from tests.support.proving import Proving
from tests.support.waiting import until
from zerotrust.audit import delivery, segments, tail
from zerotrust.audit.chain import closed_segments, lines
from zerotrust.audit.deletion import KEPT, Deletion
from zerotrust.audit.delivery import Delivery
from zerotrust.audit.journal import Journal
from zerotrust.audit.log_client import NotDelivered, RemoteLedger, fetch_policy
from zerotrust.audit.record import GENESIS, Link, next_link


class Fake(Proving):
    """A ledger that checks as the real one does, and fails as a test says: `None` is no failure."""

    def __init__(self, faults: Sequence[str | None] = ()) -> None:
        super().__init__()
        self.taken: list[bytes] = []
        self.link, self.posts = GENESIS, 0
        self.faults: Iterator[str | None] = iter([*faults, *repeat(None, 10_000)])
        self.changed: list[bytes] = []

    async def position(self) -> Link:
        self._fail("position")
        return self.link

    async def take(self, lines: Sequence[bytes]) -> Link:
        self.posts += 1
        self._fail("take")
        link = self.link
        try:
            for line in lines:
                link = next_link(link, line)
        except ValueError as error:
            self.changed += lines
            raise NotDelivered("it refuses: 409 journal_changed") from error
        self.taken += lines
        self.log.grow(*lines)
        self.link = link
        self._fail("answer")
        return link

    def _fail(self, at: str) -> None:
        if at == "answer" and self.lost:
            self.lost = False
            raise NotDelivered("the answer is lost")
        if at != "answer" and (fault := next(self.faults)):
            if fault == "lost":
                self.lost = True
            else:
                raise NotDelivered(fault)

    lost = False


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for pause in ("GATHER", "BETWEEN"):
        monkeypatch.setattr(delivery, pause, 0)
    monkeypatch.setattr(delivery, "SHORTEST_PAUSE", 0.001)
    monkeypatch.setattr(delivery, "LONGEST_PAUSE", 0.002)
    monkeypatch.setattr(delivery, "LAST", 3600)
    monkeypatch.setattr(segments, "SEGMENT", 2000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


@asynccontextmanager
async def delivering(path: Path, ledger: Fake, records: int = 0) -> AsyncIterator[Journal]:
    """A journal that is delivered; first, so many records that the block begins with."""
    journal = Journal(path)
    work = asyncio.create_task(Delivery(journal, path, ledger, Deletion(path, ledger, ledger.policy)).run())
    taken = len(ledger.taken) + records
    try:
        async with asyncio.timeout(30):
            await write(journal, records)
            await until(lambda: not records or len(ledger.taken) == taken)
            yield journal
    finally:
        work.cancel()
        journal.close()


async def write(journal: Journal, count: int) -> None:
    for _ in range(count):
        await journal.append(b'{"some":"event"}')


@pytest.mark.parametrize(
    "faults",
    [
        ["away"],
        ["away"] * 8,
        [None, "away", "away"],
        [None, "lost"],
        [None, None, "lost", "away", "lost", None, "lost"],
    ],
)
async def test_a_ledger_that_fails_costs_time_and_no_record(path: Path, faults: list[str | None]) -> None:
    ledger = Fake(faults)
    async with delivering(path, ledger, 10) as journal:
        await write(journal, 10)
        await until(lambda: len(ledger.taken) == 20)

    assert [orjson.loads(line)["n"] for line in ledger.taken] == [*range(1, 21)]


async def test_the_pause_between_two_attempts_grows_up_to_a_bound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def note(_: Delivery, seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(Delivery, "_wait", note)
    async with delivering(path, Fake(["away"] * 5), 1):
        pass
    assert waited == [delivery.SHORTEST_PAUSE, *[delivery.LONGEST_PAUSE] * 4]


async def test_nobody_asks_while_nothing_is_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[None] = []
    look = Journal.on_commit
    monkeypatch.setattr(Journal, "on_commit", lambda *wake: looks.append(look(*wake)))
    ledger = Fake()
    async with delivering(path, ledger, 1) as journal:
        await asyncio.sleep(0.02)
        await write(journal, 1)
        await until(lambda: len(ledger.taken) == 2)
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert ledger.posts == 2
        assert len(looks) < 10


async def test_who_is_behind_goes_on_at_once_and_then_gathers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "BETWEEN", 3600)
    monkeypatch.setattr(tail, "MOST_LINES", 1)
    ledger = Fake()
    async with ending(path, ledger) as (journal, behind):
        work = asyncio.create_task(behind.run())
        await until(lambda: ledger.posts == 3)
        await write(journal, 1)
        await asyncio.sleep(0.05)
        assert ledger.posts == 3
        work.cancel()


@asynccontextmanager
async def ending(path: Path, ledger: Fake) -> AsyncIterator[tuple[Journal, Delivery]]:
    """A party that has written three records, and one that waits for another to be written with."""
    journal = Journal(path)
    delivery = Delivery(journal, path, ledger, Deletion(path, ledger, ledger.policy))
    await write(journal, 3)
    journal.append_lazily(b'{"an":"outcome"}')
    async with asyncio.timeout(30):
        yield journal, delivery
    journal.close()


@pytest.mark.parametrize(("faults", "begun"), [([], True), ([], False), (["away"], False)])
async def test_what_is_left_at_the_end_is_delivered_before_the_process_ends(
    path: Path, monkeypatch: pytest.MonkeyPatch, faults: list[str], *, begun: bool
) -> None:
    """Even within a pause between two attempts."""
    monkeypatch.setattr(delivery, "SHORTEST_PAUSE", 3600)
    ledger = Fake(faults)
    async with ending(path, ledger) as (journal, finishing):
        idle = Delivery(journal, path, ledger, Deletion(path, ledger, ledger.policy))
        for party in (finishing, idle):
            work = asyncio.create_task(party.run())
            await asyncio.sleep(0)
            if begun:
                await until(lambda: bool(ledger.taken))
            await party.finish()
            assert len(ledger.taken) == 4
            work.cancel()


async def test_an_end_does_not_wait_for_a_ledger_that_takes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked once more, and after that there is a pause again."""
    for pause in ("SHORTEST_PAUSE", "LONGEST_PAUSE"):
        monkeypatch.setattr(delivery, pause, 3600)
    ledger = Fake(["away"] * 2)
    async with ending(path, ledger) as (journal, finishing):
        await finishing.finish()  # nothing delivers
        assert journal.link.records == 4
        work = asyncio.create_task(finishing.run())
        await asyncio.sleep(0)
        await finishing.finish()
        await asyncio.sleep(0.05)
        assert ledger.taken == []
        work.cancel()


async def test_an_end_waits_for_a_ledger_that_does_not_answer_for_a_while_only(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(Fake):
        async def position(self) -> Link:
            await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr(delivery, "LAST", 0.01)
    async with ending(path, Silent()) as (journal, finishing):
        work = asyncio.create_task(finishing.run())
        await asyncio.sleep(0)
        await finishing.finish()
        assert not work.done()
        assert journal.link.records == 4
        work.cancel()


async def test_no_record_waits_for_the_ledger(path: Path) -> None:
    """It never answers, and the journal goes on; what is asked for at once stays within the bounds of one request."""

    class Silent(Fake):
        async def take(self, lines: Sequence[bytes]) -> Link:
            assert len(lines) <= tail.MOST_LINES
            await asyncio.Event().wait()
            raise AssertionError

    async with delivering(path, Silent()) as journal:
        await write(journal, 50)
    assert len([*lines(path)]) == 50
    assert closed_segments(path)[0].name.endswith("1")  # nothing was deleted


async def test_what_is_delivered_is_deleted_but_for_the_newest_segments(path: Path) -> None:
    ledger = Fake()
    async with delivering(path, ledger, 200) as journal:
        await write(journal, 1)
        await until(lambda: len(ledger.taken) == 201)
        await until(lambda: len(closed_segments(path)) == KEPT)
    assert ledger.taken[-1] == [*lines(path)][-1]


async def test_a_journal_that_was_rewritten_after_delivery_is_shown_to_the_ledger_and_not_gone_on_with(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Fake()
    async with delivering(path, ledger, 3):
        pass
    path.unlink()
    async with delivering(path, ledger) as journal:
        for number in range(4):
            await journal.append(b'{"other":%d}' % number)
        await until(lambda: bool(ledger.changed))

    assert len(ledger.taken) == 3
    assert orjson.loads(ledger.changed[0])["n"] in {1, 2, 3}
    assert "409 journal_changed" in caplog.text


async def test_a_journal_that_was_cut_off_after_delivery_is_noticed(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Fake()
    async with delivering(path, ledger, 3):
        pass
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    async with delivering(path, ledger):
        await until(lambda: "journal_changed" in caplog.text)
    path.unlink()
    async with delivering(path, ledger):
        await until(lambda: "has 3 records of this journal, which is not the same any more" in caplog.text)
    assert len(ledger.taken) == 3


async def test_an_acknowledgement_of_something_else_is_none(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Liar(Fake):
        async def take(self, _lines: Sequence[bytes]) -> Link:
            return Link(7, "0" * 64)

    async with delivering(path, Liar()) as journal:
        await write(journal, 1)
        await until(lambda: "acknowledged other records" in caplog.text)


def answering(answer: httpx.Response | Exception) -> httpx.AsyncClient:
    """A client for a party that always answers this, or fails so."""
    return httpx.AsyncClient(transport=httpx.MockTransport(Mock(side_effect=[answer])))


def remote(answer: httpx.Response | Exception) -> RemoteLedger:
    return RemoteLedger(answering(answer), "https://audit.example")


def head(n: object, sha256: str = "0" * 64) -> httpx.Response:
    return httpx.Response(200, json={"n": n, "sha256": sha256})


ANSWERS: dict[str, tuple[httpx.Response | Exception, str]] = {
    "no answer": (httpx.ConnectError("away"), "does not answer: ConnectError away"),
    "no JSON": (httpx.Response(200, text="ok"), "no answer that can be read"),
    "no head": (httpx.Response(200, json={"n": 1}), "does not say where it stands"),
    "another head": (head(1, "A" * 64), "does not say where it stands"),
    "a number with more than 53 bits": (head(2**53), "no answer that can be read"),
    "a negative number": (head(-1), "does not say where it stands"),
    "no number": (head(n=True), "does not say where it stands"),
    "a refusal": (httpx.Response(409, json={"reason": "journal_elsewhere"}), "it refuses: 409 journal_elsewhere$"),
    "a changed journal": (httpx.Response(409, json={"reason": "journal_changed"}), "journal_changed. .*failures.md"),
    "no reason": (httpx.Response(409, json={"reason": 7}), "it refuses: 409 $"),
    "a text of its own": (httpx.Response(409, json={"reason": "x\ny"}), "it refuses: 409 $"),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_any_other_answer_than_a_head_is_not_taken_for_one(name: str) -> None:
    answer, why = ANSWERS[name]
    with pytest.raises(NotDelivered, match=why):
        await remote(answer).position()


@pytest.mark.parametrize("answer", [httpx.Response(503, text="a policy"), httpx.ConnectError("away")])
async def test_who_does_not_say_which_log_to_believe_is_asked_again_later(answer: httpx.Response | Exception) -> None:
    with pytest.raises(NotDelivered):
        await fetch_policy(answering(answer), "https://registry.example")


@pytest.mark.parametrize(("said", "waited"), [("7", 7), ("100", 60), ("soon", 0), ("-1", 0)])
async def test_a_ledger_may_ask_to_wait_for_a_minute_at_most(said: str, waited: float) -> None:
    answer = httpx.Response(503, json={"reason": "log_unavailable"}, headers={"retry-after": said})
    with pytest.raises(NotDelivered) as refused:
        await remote(answer).take([b"{}"])
    assert refused.value.after == waited
