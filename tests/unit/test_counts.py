"""Callers that were never verified, and refusals that repeat themselves, cost one record a second each."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.support.door import Door
from tests.support.issuer import Issuer
from zerotrust.audit.counts import IN_FULL, MAX_PEERS, MAX_REPEATED, Tally
from zerotrust.audit.journal import Journal, records


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.jsonl")
    yield journal
    journal.close()


async def counted(journal: Journal, tmp_path: Path) -> list[dict[str, Any]]:
    """What the tally wrote, once its timer (of no time at all) has run."""
    async with asyncio.timeout(5):
        while not (found := list(records(tmp_path / "journal.jsonl"))):
            await asyncio.sleep(0.002)
    return found


async def test_a_flood_from_one_peer_is_one_record(journal: Journal, tmp_path: Path) -> None:
    tally = Tally(journal, interval=0)
    for _ in range(100_000):
        tally.count("192.0.2.1", "no_token")

    [record] = await counted(journal, tmp_path)
    assert record["event"] == "unverified"
    assert record["seen"] == [{"peer": "192.0.2.1", "reason": "no_token", "times": 100_000}]


async def test_a_flood_from_everywhere_is_one_record_of_bounded_size(journal: Journal, tmp_path: Path) -> None:
    tally = Tally(journal, interval=0)
    for number in range(10 * MAX_PEERS):
        tally.count(f"peer-{number}", "no_token")
    tally.count("peer-0", "no_token")  # who is known is still told apart

    [record] = await counted(journal, tmp_path)
    times = {seen["peer"]: seen["times"] for seen in record["seen"]}
    assert len(times) == MAX_PEERS + 1
    assert times["peer-0"] == 2
    assert times["others"] == 9 * MAX_PEERS


async def test_what_is_counted_is_written_within_a_second_and_once(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timers: list[tuple[float, Any]] = []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "call_later", lambda delay, write: timers.append((delay, write)))
    tally = Tally(journal)

    tally.count("a", "no_token")
    tally.count("b", "no_token")
    assert [delay for delay, _ in timers] == [1.0]

    timers.pop()[1]()
    tally.count("a", "no_token")  # the next second
    assert [delay for delay, _ in timers] == [1.0]
    timers.pop()[1]()
    monkeypatch.undo()
    await journal.append({"event": "after", "seen": []})

    assert [len(record["seen"]) for record in records(tmp_path / "journal.jsonl")] == [2, 1, 0]


async def test_what_was_counted_is_written_when_the_service_ends(tmp_path: Path, still_issuer: Issuer) -> None:
    door = Door(tmp_path, still_issuer, tally_every=3600)
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

    assert [(record["event"], record["seen"][0]["reason"]) for record in written] == [("unverified", "no_token")]


async def test_what_was_written_early_is_not_written_again(journal: Journal, tmp_path: Path) -> None:
    tally = Tally(journal, interval=0.01)

    await tally.flush()
    tally.count("a", "no_token")
    await tally.flush()
    await tally.flush()
    await asyncio.sleep(0.05)
    await journal.append({"event": "after", "seen": []})

    assert [len(record["seen"]) for record in records(tmp_path / "journal.jsonl")] == [1, 0]


async def test_a_refusal_is_written_in_full_until_it_repeats_itself(journal: Journal, tmp_path: Path) -> None:
    tally = Tally(journal, interval=0)

    counted_only = [tally.repeated("eve", "zt", "zt", "policy_denied", "POST /withdrawals") for _ in range(100_000)]

    assert counted_only == [False] * IN_FULL + [True] * (100_000 - IN_FULL)
    [record] = await counted(journal, tmp_path)
    assert record["event"] == "refused again"
    refused = {
        "subject": "eve",
        "party": "zt",
        "peer": "zt",
        "reason": "policy_denied",
        "operation": "POST /withdrawals",
    }
    assert record["seen"] == [refused | {"times": 100_000 - IN_FULL}]


@pytest.mark.parametrize(
    "other",
    [
        ("bob", "zt", "zt", "policy_denied", "GET /x"),
        ("eve", "walkthrough", "zt", "policy_denied", "GET /x"),
        ("eve", "zt", "reader", "policy_denied", "GET /x"),
        ("eve", "zt", None, "policy_denied", "GET /x"),
        ("eve", "zt", "zt", "scope_missing", "GET /x"),
        ("eve", "zt", "zt", "policy_denied", "GET /y"),
    ],
)
async def test_another_refusal_is_no_repetition(journal: Journal, other: tuple[str, str, str | None, str, str]) -> None:
    tally = Tally(journal, interval=3600)
    while not tally.repeated("eve", "zt", "zt", "policy_denied", "GET /x"):
        pass

    assert not tally.repeated(*other)
    await tally.flush()
    assert not tally.repeated("eve", "zt", "zt", "policy_denied", "GET /x")  # the next second
    await tally.flush()


async def test_refusals_of_many_kinds_are_one_record_of_bounded_size(journal: Journal, tmp_path: Path) -> None:
    tally = Tally(journal, interval=3600)
    for number in range(2 * MAX_REPEATED):
        assert tally.repeated(f"user-{number}", "zt", "zt", "policy_denied", "GET /x") == (number >= MAX_REPEATED)
    for _ in range(IN_FULL):
        tally.repeated("user-0", "zt", "zt", "policy_denied", "GET /x")  # who is known is still told apart

    await tally.flush()

    [record] = await counted(journal, tmp_path)
    assert {seen["subject"]: seen["times"] for seen in record["seen"]} == {"user-0": 1, "others": MAX_REPEATED}
