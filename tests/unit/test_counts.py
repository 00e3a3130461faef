"""Callers that were never verified, and refusals that repeat themselves, cost one record a second each."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.support.door import Door
from tests.support.issuer import Issuer
from tests.support.records import records
from zerotrust.audit.counts import IN_FULL, MAX_PEERS, MAX_REPEATED, OF_SUSPENDED, CallCounter
from zerotrust.audit.event_types import Counts
from zerotrust.audit.journal import Journal
from zerotrust.audit.record import MAX_LINE
from zerotrust.audit.recorder import Recorder
from zerotrust.decision import Reason


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    recorder = Recorder(Journal(tmp_path / "journal.jsonl"), "spiffe://agents.example/inference")
    yield recorder
    recorder.close()


async def counted(recorder: Recorder, tmp_path: Path) -> list[dict[str, Any]]:
    """What the counter wrote, once its timer (of no time at all) has run."""
    async with asyncio.timeout(5):
        while not records(tmp_path / "journal.jsonl"):
            await asyncio.sleep(0.002)
    await recorder.append(Counts())  # behind the last of several records
    return [record for record in records(tmp_path / "journal.jsonl") if "unverified" in record or "repeated" in record]


async def test_a_flood_from_everywhere_is_records_of_bounded_size(recorder: Recorder, tmp_path: Path) -> None:
    counter = CallCounter(recorder, interval=0)
    for number in range(10 * MAX_PEERS):
        counter.count(f"peer-{number}", "no_token")
    counter.count("peer-0", "no_token")  # who is known is still told apart

    written = await counted(recorder, tmp_path)
    times = {seen["origin"]: seen["times"] for record in written for seen in record["unverified"]}
    assert all(len(line) <= MAX_LINE for line in (tmp_path / "journal.jsonl").read_bytes().splitlines())
    assert len(times) == MAX_PEERS + 1
    assert times["peer-0"] == 2
    assert times["others"] == 9 * MAX_PEERS


async def test_what_is_counted_is_written_within_a_second_and_once(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timers: list[tuple[float, Any]] = []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "call_later", lambda delay, write: timers.append((delay, write)))
    counter = CallCounter(recorder)

    counter.count("a", "no_token")
    counter.count("b", "no_token")
    assert [delay for delay, _ in timers] == [1.0]

    timers.pop()[1]()
    counter.count_verified("eve", "zt", "zt", "policy_denied", "GET /x")
    counter.count_verified("eve", "zt", "zt", "policy_denied", "GET /x")
    assert [delay for delay, _ in timers] == [1.0]
    timers.pop()[1]()  # nothing is written: both are in full
    counter.count("a", "no_token")  # the next second
    assert [delay for delay, _ in timers] == [1.0]
    timers.pop()[1]()
    monkeypatch.undo()
    await recorder.append(Counts(unverified=()))

    assert [len(record["unverified"]) for record in records(tmp_path / "journal.jsonl")] == [2, 1, 0]


async def test_what_was_counted_is_written_when_the_service_ends(tmp_path: Path, still_issuer: Issuer) -> None:
    door = Door(tmp_path, still_issuer, count_every=3600)
    written: list[dict[str, Any]] = []

    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        while (await receive())["type"] != "lifespan.shutdown":
            pass
        written.extend(records(tmp_path / "journal.jsonl"))

    await door.ask()
    door.handler = app
    said: asyncio.Queue[Message] = asyncio.Queue()
    for kind in ("startup", "shutdown"):
        said.put_nowait({"type": f"lifespan.{kind}"})
    await door.gate({"type": "lifespan"}, said.get, said.put)
    door.close()

    assert [record["unverified"][0]["reason"] for record in written] == ["no_token"]


async def test_a_refusal_is_written_in_full_until_it_repeats_itself(recorder: Recorder, tmp_path: Path) -> None:
    counter = CallCounter(recorder, interval=0)

    counted_only = [
        counter.count_verified("eve", "zt", "zt", "policy_denied", "POST /revocations") for _ in range(100_000)
    ]

    assert counted_only == [False] * IN_FULL + [True] * (100_000 - IN_FULL)
    [record] = await counted(recorder, tmp_path)
    who = {"subject": "eve", "party": "zt", "peer": "zt", "reason": "policy_denied", "operation": "POST /revocations"}
    assert record["repeated"] == [who | {"times": 100_000 - IN_FULL}]


@pytest.mark.parametrize(
    "other",
    [
        ("bob", "zt", "zt", "policy_denied", "GET /x"),
        ("eve", "walkthrough", "zt", "policy_denied", "GET /x"),
        ("eve", "zt", "reader", "policy_denied", "GET /x"),
        ("eve", "zt", None, "policy_denied", "GET /x"),
        (None, None, "zt", "policy_denied", "GET /x"),
        ("eve", "zt", "zt", "scope_missing", "GET /x"),
        ("eve", "zt", "zt", "policy_denied", "GET /y"),
    ],
)
async def test_another_refusal_is_no_repetition(
    recorder: Recorder, other: tuple[str | None, str | None, str | None, str, str]
) -> None:
    counter = CallCounter(recorder, interval=3600)
    while not counter.count_verified("eve", "zt", "zt", "policy_denied", "GET /x"):
        pass

    assert not counter.count_verified(*other)
    await counter.flush()
    assert not counter.count_verified("eve", "zt", "zt", "policy_denied", "GET /x")  # the next second
    await counter.flush()


async def test_refusals_of_many_kinds_are_one_record_of_bounded_size(recorder: Recorder, tmp_path: Path) -> None:
    counter = CallCounter(recorder, interval=3600)
    for number in range(2 * MAX_REPEATED):
        assert counter.count_verified(f"user-{number}", "zt", "zt", "policy_denied", "GET /x") == (
            number >= MAX_REPEATED
        )
    for _ in range(IN_FULL):
        counter.count_verified("user-0", "zt", "zt", "policy_denied", "GET /x")  # who is known is still told apart

    await counter.flush()

    [record] = await counted(recorder, tmp_path)
    assert {seen["subject"]: seen["times"] for seen in record["repeated"]} == {"user-0": 1, "others": MAX_REPEATED}


# --- of suspended parties ---------------------------------------------------------------------------------------------


def poll(counter: CallCounter, party: str = "reader") -> bool:
    """A suspended party asks.  Return whether that is counted only."""
    return counter.count_verified(None, None, party, Reason.REVOKED, "GET /feed")


async def test_a_suspended_party_that_goes_on_asking_is_a_record_a_minute(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timers: list[tuple[float, Any]] = []

    def call_later(delay: float, write: Any) -> asyncio.TimerHandle:
        timers.append((delay, write))
        return asyncio.TimerHandle(delay, write, (), asyncio.get_running_loop())

    with monkeypatch.context() as patched:
        patched.setattr(asyncio.get_running_loop(), "call_later", call_later)
        counter = CallCounter(recorder)
        full = 0
        for minute in range(5):
            full += sum(not poll(counter) for _ in range(30))
            full += sum(not poll(counter, "writer") for _ in range(20 if minute < 2 else 0))
            ((delay, write),) = timers
            assert delay == OF_SUSPENDED == 60
            timers.clear()
            write()
        ((_, write),) = timers  # a last minute, in which it is silent
        timers.clear()
        write()
        assert not timers
        again = not poll(counter)
    await recorder.append(Counts())

    assert full == 2 * IN_FULL
    assert again, "a party that asks again later is on record in full again"
    told = [record["repeated"] for record in records(tmp_path / "journal.jsonl") if record.get("repeated")]
    assert [{one["peer"]: one["times"] for one in some} for some in told] == [
        {"reader": 27, "writer": 17},
        {"reader": 30, "writer": 20},
        *[{"reader": 30}] * 3,
    ]


@pytest.mark.parametrize(("subject", "reason"), [("alice", Reason.REVOKED), (None, Reason.GRANTED)])
async def test_a_revoked_user_and_what_a_party_may_are_counted_by_the_second(
    recorder: Recorder, subject: str | None, reason: Reason
) -> None:
    counter = CallCounter(recorder, interval=3600)
    while not counter.count_verified(subject, subject, "reader", reason, "GET /feed"):
        pass
    await counter.flush()

    assert not counter.count_verified(subject, subject, "reader", reason, "GET /feed"), "in full again"
    await counter.flush()


async def test_what_suspended_parties_were_refused_is_written_when_the_service_ends(
    recorder: Recorder, tmp_path: Path
) -> None:
    counter = CallCounter(recorder)
    loop = asyncio.get_running_loop()
    with patch.object(loop, "call_later", wraps=loop.call_later) as called:
        for _ in range(IN_FULL + 2):
            poll(counter)
        first = counter._later
        assert first

        await counter.flush()

    assert (called.call_count, first.cancelled()) == (2, True), "else there would be two records in the next minute"

    [record] = await counted(recorder, tmp_path)
    assert [one["times"] for one in record["repeated"]] == [2]
