"""Who follows the registry's stream, and for how long; what is asked for at once, and what too much of it becomes."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest

from authorities.registry import stream as module
from authorities.registry.keycloak.events import Change, of_user_until
from authorities.registry.keycloak.poll import change_applier
from authorities.registry.quota import MOST_OF_A_USER
from authorities.registry.state import Entry
from authorities.registry.stream import Stream
from tests.support.issuer import Issuer
from tests.support.registry_authority import FOLLOWER, OPENING, READERS_ID, Follower, read, streaming
from zerotrust.registry.events import RevocationEvents
from zerotrust.registry.topics import HEARTBEAT, REGISTRY
from zerotrust.revocation import Revocations

SECONDS = 30
"""A net: nothing waits for it."""


@pytest.fixture
async def stream(tmp_path: Path, issuer: Issuer) -> AsyncIterator[Stream]:
    async with streaming(tmp_path, issuer) as stream, asyncio.timeout(SECONDS):
        yield stream


async def begun(stream: Stream, party: str = READERS_ID) -> AsyncGenerator[str, None]:
    """A stream of this party that has been given the state."""
    lines = stream.follow(party, time.time() + 600)
    for _ in range(OPENING):
        await anext(lines)
    assert isinstance(lines, AsyncGenerator)
    return lines


async def rest(lines: AsyncIterator[str]) -> list[dict[str, Any]]:
    """What comes until it ends."""
    return [read(line.rstrip("\n")) async for line in lines]


def number(event: dict[str, Any]) -> int:
    return int(event["number"])


# who follows


async def test_a_registry_that_ends_keeps_no_stream_and_begins_none(stream: Stream) -> None:
    lines, other = await begun(stream), await begun(stream, FOLLOWER)
    await stream.change("user", "u", "x")
    await stream.close()
    assert [number(event) for each in (lines, other) for event in await rest(each)] == [1, 1]
    assert await rest(stream.follow(READERS_ID, time.time() + 600)) == []
    assert not stream._followers.parties


async def test_whom_the_registry_does_not_name_any_more_follows_no_more(stream: Stream) -> None:
    lines, other = await begun(stream), await begun(stream, FOLLOWER)
    raw = stream.snapshot.registry.model_dump()
    del raw["parties"]["agent/reader"]
    raw["parties"]["orchestrator"]["may_call"] = ["agent/writer"]
    raw["scopes"]["agent.invoke"]["served_by"] = ["agent/writer"]
    registry = type(stream.snapshot.registry).model_validate(raw)

    await stream.publish(stream.snapshot.model_copy(update={"registry": registry}))

    assert [event["kind"] for event in await rest(lines)] == [REGISTRY.type, HEARTBEAT.type]
    assert read((await anext(other)).rstrip("\n"))["kind"] == REGISTRY.type


# the whole state


async def test_a_state_of_many_lines_is_one_state_whatever_changes_meanwhile(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ENTRIES_IN_A_LINE", 10)
    await asyncio.gather(*(stream.change("session", f"s-{n}", "x") for n in range(95)))
    early, late = Follower(), Follower()
    lines = stream.follow(READERS_ID, time.time() + 600)
    document = await anext(lines)  # from here on, each change is told after the state
    await stream.change("session", "s-1", None)
    await stream.change("user", "u", "x")

    following = [asyncio.create_task(early.apply_event(lines, 97)), asyncio.create_task(late.follow(stream, 98))]
    await asyncio.wait(following[:1])
    assert read(document.rstrip("\n"))["kind"] == REGISTRY.type
    assert early.numbers[:10] == [0] * 9 + [95]  # nothing counts before the last part
    await stream.change("user", "v", "x")
    await asyncio.wait(following)

    assert ("session", "s-1") not in early.revocations.revoked
    assert ("user", "u") in early.revocations.revoked
    assert late.revocations.revoked == stream._kept.revoked == stream._revocations.revoked


async def test_the_state_is_signed_once_for_all_who_begin_at_the_same_change(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = list[int]()
    sign_state = module._sign_state

    def counted(number: int, *rest: Any) -> Any:
        signed.append(number)
        return sign_state(number, *rest)

    monkeypatch.setattr(module, "_sign_state", counted)
    await stream.change("user", "u", "x")
    for party in (READERS_ID, FOLLOWER, READERS_ID):
        await begun(stream, party)
    await stream.change("user", "v", "x")
    await begun(stream)

    assert signed == [1, 2]


# what is asked for at once


@pytest.fixture
def written(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many entries were written at once, each time."""
    written, change = list[int](), stream._kept.change

    async def counted(entries: Sequence[Entry]) -> int:
        written.append(len(entries))
        return await change(entries)

    monkeypatch.setattr(stream._kept, "change", counted)
    return written


async def test_what_is_asked_for_at_the_same_time_is_written_and_signed_at_once(
    stream: Stream, written: list[int]
) -> None:
    lines = await begun(stream)

    await asyncio.gather(*(stream.change("session", f"s-{n}", "x") for n in range(150)))

    assert written == [150]
    told = [read((await anext(lines)).rstrip("\n")) for _ in range(2)]
    assert [number(event) for event in told] == [1, 101]
    assert stream._kept.number == stream._revocations.number == 150


async def test_more_than_a_batch_is_written_in_several(
    stream: Stream, written: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BATCH", 10)
    await asyncio.gather(*(stream.change("session", f"s-{n}", "x") for n in range(25)))

    assert written == [10, 10, 5]


async def test_what_cannot_be_written_fails_for_all_who_asked_and_is_published_to_nobody(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, change = await begun(stream), stream._kept.change

    async def no_room(_entries: object) -> int:
        raise OSError("no room")

    monkeypatch.setattr(stream._kept, "change", no_room)
    asked = [stream.change("session", f"s-{n}", "x") for n in range(3)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert [str(result) for result in results] == ["no room"] * 3
    assert stream._revocations.revoked == {}

    monkeypatch.setattr(stream._kept, "change", change)
    await stream.change("session", "s-0", "x")
    assert number(read((await anext(lines)).rstrip("\n"))) == 1


# too much


def revoked(number: int, user: str = "eve") -> Change:
    """A user revokes a token of theirs."""
    return Change(("token", f"{user}-{number}"), "keycloak: revoked", of_user_until(number, user, "walkthrough"))


async def test_what_a_later_time_revokes_already_is_no_change(stream: Stream) -> None:
    apply = change_applier(stream, AsyncMock())
    await asyncio.gather(*(apply(revoked(n)) for n in range(100)))
    number = stream._kept.number
    await apply(revoked(50, "eve"))  # it comes late, and is revoked already
    await apply(Change(("token", "late"), "keycloak: revoked", of_user_until(98, "eve", "walkthrough")))
    await apply(Change(("token", "late"), "keycloak: revoked", of_user_until(99, "eve", "walkthrough")))

    assert stream._kept.number == number


async def test_of_sessions_too_one_time_does_for_the_rest(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MOST_OF_A_USER, "session", 3)
    apply = change_applier(stream, AsyncMock())
    for n in range(10):
        await apply(Change(("session", f"s-{n}"), "keycloak: logout", of_user_until(n, "eve")))

    assert list(stream._kept.revoked) == [*(("session", f"s-{n}") for n in range(3)), ("before", "9 eve")]


async def test_it_is_known_until_when_a_party_follows(stream: Stream) -> None:
    assert stream.follows_until(READERS_ID) is None
    lines, now = await begun(stream), time.time()

    assert now + 500 < (stream.follows_until(READERS_ID) or 0) < now + 600
    await lines.aclose()
    assert stream.follows_until(READERS_ID) is None


async def test_a_heartbeat_between_the_disk_and_the_followers_names_what_was_sent_and_goes_on(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change is on the disk before it is in force here: a heartbeat that named it ended all freshness for ever."""
    monkeypatch.setattr(module, "SECONDS_BETWEEN_HEARTBEATS", 0)
    beating = asyncio.create_task(stream.beat())
    await asyncio.sleep(0)
    before = stream._heartbeat()

    await stream._kept.change([Entry(("user", "u"), "x")])
    for _ in range(5):
        await asyncio.sleep(0)

    assert not beating.done()
    assert read(stream._heartbeat())["numbers"] == read(before)["numbers"]
    beating.cancel()


async def test_a_follower_that_begins_between_the_disk_and_the_others_gets_what_was_sent_and_then_the_change(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its state, its first heartbeat and the next change must fit, or it forgets everything."""
    write, written, go_on = stream._kept.change, asyncio.Event(), asyncio.Event()

    async def slow(entries: Sequence[Entry]) -> int:
        number = await write(entries)
        written.set()
        await go_on.wait()
        return number

    monkeypatch.setattr(stream._kept, "change", slow)
    changing = asyncio.create_task(stream.change("user", "u", "x"))
    await written.wait()
    lines = stream.follow(READERS_ID, time.time() + 600)
    first = [read((await anext(lines)).rstrip()) for _ in range(OPENING)]
    go_on.set()
    await changing
    follower = Revocations(clock=time.monotonic)

    RevocationEvents(follower).take(first[-2])
    follower.confirm(first[-1]["numbers"]["revocations"], 0.0)
    RevocationEvents(follower).take(read((await anext(lines)).rstrip()))
    assert follower.revoked == {("user", "u"): "x"}
