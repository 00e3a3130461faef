"""Reading Keycloak's events where Keycloak is slow, away or strange; the real one is in `tests/e2e`."""

import asyncio
import logging
import time
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest

from authorities.registry.keycloak import poll as module
from authorities.registry.keycloak.admin import AdministrationError
from authorities.registry.keycloak.events import KEPT_FOR, Change
from authorities.registry.keycloak.poll import EXCHANGES, Reader, change_applier, poll
from authorities.registry.state import State
from authorities.registry.stream import Stream
from testkit import Identity
from tests.support.keycloak_events import NOW, OWN, READER, Applied, Json, Keycloak
from tests.support.system import fresh_revocations, svid_of
from zerotrust.registry.model import Registry
from zerotrust.revocation_list import SESSION_LIFE

EARLIER = f"{NOW // 1000 - 1} alice"
"""All tokens of alice that were issued in an earlier second."""


@pytest.fixture
def keycloak() -> Keycloak:
    return Keycloak()


@pytest.fixture
def applied() -> Applied:
    return Applied()


@pytest.fixture
def reader(keycloak: Keycloak, applied: Applied) -> Reader:
    return Reader(keycloak, applied, own=OWN, since=NOW / 1000, clock=lambda: keycloak.now / 1000)


# --- nothing missed, nothing twice ------------------------------------------------------------------------------------


@pytest.mark.parametrize("many", [9, 10, 11, 25])
async def test_however_many_there_are_all_are_read_and_no_more_at_once_than_there_is_room_for(
    keycloak: Keycloak, applied: Applied, reader: Reader, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_EVENTS", 10)
    for number in range(many):
        keycloak.logout(f"session {number}", at=NOW + number)
        keycloak.admin("DELETE", "USER_SESSION", f"sessions/ended {number}", at=NOW + number)
    await reader.read()

    assert len(set(applied.names)) == len(applied.names) == 2 * many
    asked, before = len(keycloak.asked), len(applied.names)
    assert asked == 2 * (many // 10 + 1)
    await reader.read()  # what is known does not fill the page
    assert (len(keycloak.asked), len(applied.names)) == (asked + 2, before)


async def test_what_comes_between_two_questions_moves_nothing_out_of_sight(
    keycloak: Keycloak, applied: Applied, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_EVENTS", 2)
    for number in range(5):
        keycloak.logout(f"session {number}", at=NOW + number)
    late = iter(range(10, 15))

    def another() -> None:
        if (at := next(late, None)) is not None:
            keycloak.logout(f"session {at}", at=NOW + at)

    keycloak.meanwhile = another
    await reader.read()
    await reader.read()

    assert sorted(applied.names) == sorted(f"session {number}" for number in [*range(5), *range(10, 15)])


async def test_where_one_question_fails_the_others_end_and_its_error_is_raised(
    keycloak: Keycloak, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = []

    async def never(_query: Json) -> list[Json]:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)
        return []

    async def refused(_path: str) -> Any:
        raise AdministrationError("no")

    monkeypatch.setattr(keycloak, "a_get_events", never)
    monkeypatch.setattr(keycloak.connection, "a_raw_get", refused)
    with pytest.raises(AdministrationError, match="no"):
        await reader.read()

    assert ended


async def test_users_and_administrators_are_heard_in_the_order_of_what_they_did(
    keycloak: Keycloak, applied: Applied, reader: Reader
) -> None:
    keycloak.admin("UPDATE", "USER", "users/bob", '{"enabled": true}', at=NOW + 2)
    keycloak.logout("a", at=NOW + 1)
    keycloak.admin("UPDATE", "USER", "users/bob", '{"enabled": false}', at=NOW)
    await reader.read()

    bobs = Change(("before", EARLIER.replace("alice", "bob")), "keycloak: user changed")
    assert applied.changes == [
        Change(("user", "bob"), "keycloak: disabled"),
        bobs,
        Change(("session", "a"), "keycloak: logout"),
        Change(("user", "bob"), None),
        bobs,
    ]


async def test_what_could_not_be_applied_is_tried_again(keycloak: Keycloak, applied: Applied, reader: Reader) -> None:
    keycloak.logout("a")
    applied.fails = 1
    with pytest.raises(OSError, match="no space left"):
        await reader.read()
    await reader.read()

    assert applied.names == ["a"]


# --- whose sessions ---------------------------------------------------------------------------------------------------


async def test_the_sessions_that_the_user_began_until_then_and_no_others(
    keycloak: Keycloak, applied: Applied, reader: Reader
) -> None:
    keycloak.login("too old", at=NOW - SESSION_LIFE * 1000 - 1)
    keycloak.login("first", at=NOW - SESSION_LIFE * 1000)
    keycloak.login("first", at=NOW - 5)  # signed in at another client
    keycloak.login("second", at=NOW)
    keycloak.login("new", at=NOW + 1)
    keycloak.login("bob's", at=NOW - 5, user="bob")
    keycloak.admin("ACTION", "USER", "users/alice/reset-password")
    await reader.read()

    assert sorted(applied.names) == [EARLIER, "first", "second"]
    assert {change.cause for change in applied.changes} == {"keycloak: credential changed"}


async def test_a_user_with_too_many_sign_ins_is_revoked_instead_of_each_session(
    keycloak: Keycloak, applied: Applied, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_LOGINS", 3)
    for number in range(3):
        keycloak.login(f"session {number}", at=NOW - number)
    keycloak.login("bob's", at=NOW, user="bob")
    keycloak.admin("ACTION", "USER", "users/alice/reset-password")
    keycloak.admin("ACTION", "USER", "users/bob/reset-password", at=NOW + 1)
    await reader.read()

    assert applied.changes == [
        Change(("user", "alice"), "keycloak: credential changed, in 3 sessions"),
        Change(("before", EARLIER.replace("alice", "bob")), "keycloak: credential changed"),
        Change(("session", "bob's"), "keycloak: credential changed"),
    ]


async def test_an_open_session_that_nobody_signed_in_for_is_found_too(
    keycloak: Keycloak, applied: Applied, reader: Reader
) -> None:
    """Keycloak tells the start of a session in whole seconds; that of a new sign-in is in its event."""
    second = NOW - NOW % 1000
    keycloak.login("new", at=NOW + 1)
    keycloak.sessions["alice"] = [
        {"id": "impersonated", "start": second},
        {"id": "new", "start": second},
        {"id": "newer", "start": second + 1000},
    ]
    keycloak.admin("UPDATE", "USER", "users/alice")
    await reader.read()

    assert applied.names == [EARLIER, "impersonated"]


async def test_a_session_that_begins_while_the_questions_are_asked_is_no_earlier_one(
    keycloak: Keycloak, applied: Applied, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    second, ask = NOW - NOW % 1000, keycloak.connection.a_raw_get

    async def asked(path: str) -> Any:
        if path.endswith("/sessions"):  # somebody signs in just before Keycloak lists the open sessions
            keycloak.login("new", at=NOW + 1)
            keycloak.sessions["alice"] = [{"id": "new", "start": second}]
        return await ask(path)

    monkeypatch.setattr(keycloak.connection, "a_raw_get", asked)
    keycloak.admin("UPDATE", "USER", "users/alice")
    await reader.read()

    assert applied.names == [EARLIER]


# --- clients ----------------------------------------------------------------------------------------------------------


async def test_what_the_registry_itself_did_is_no_news(keycloak: Keycloak, applied: Applied, reader: Reader) -> None:
    keycloak.admin("UPDATE", "CLIENT", "clients/reader", '{"enabled": false}', client="own")
    await reader.read()
    assert applied.changes == []

    keycloak.admin("UPDATE", "CLIENT", "clients/reader", '{"enabled": false}', at=NOW + 1)
    await reader.read()
    assert applied.changes == [Change(("party", READER), "keycloak: disabled")]


async def test_a_client_that_came_later_is_looked_up(keycloak: Keycloak, applied: Applied, reader: Reader) -> None:
    await reader.read()
    keycloak.clients.append({"id": "late", "clientId": "spiffe://agents.example/agent/late"})
    keycloak.admin("UPDATE", "CLIENT", "clients/late", '{"enabled": false}')
    await reader.read()

    assert applied.names == ["spiffe://agents.example/agent/late"]


# --- what may have been lost ------------------------------------------------------------------------------------------


async def test_what_is_not_recorded_is_not_read_completely_and_its_tokens_are_revoked_afterwards(
    keycloak: Keycloak, applied: Applied, reader: Reader
) -> None:
    keycloak.config["eventsEnabled"] = False
    keycloak.logout("a")
    for _ in range(2):
        with pytest.raises(AdministrationError, match="switched off"):
            await reader.read()
    assert applied.names == ["a"]

    began = int(time.time())
    keycloak.config["eventsEnabled"] = True
    await reader.read()
    await reader.read()

    [_, change] = applied.changes
    assert change.subject[0] == "before"
    assert began <= int(change.subject[1]) <= time.time()


@pytest.mark.parametrize("off", ['{"adminEventsEnabled": false}', '{"enabledEventTypes": ["LOGIN", "CLIENT_LOGIN"]}'])
async def test_events_that_were_off_between_two_reads_are_missed(
    keycloak: Keycloak, applied: Applied, reader: Reader, off: str
) -> None:
    keycloak.admin("UPDATE", "REALM", "events/config", off)
    await reader.read()
    await reader.read()

    assert [change.cause for change in applied.changes] == ["keycloak: events may have been lost"]


async def test_events_that_keycloak_has_forgotten_in_time_are_not_missed(
    keycloak: Keycloak, applied: Applied, reader: Reader
) -> None:
    keycloak.logout("a")
    keycloak.admin("CREATE", "USER", "users/x")
    await reader.read()
    keycloak.users.clear()
    keycloak.admins.clear()
    keycloak.now += KEPT_FOR * 1000
    await reader.read()

    assert applied.names == ["a"]


# --- the loop ---------------------------------------------------------------------------------------------------------


async def test_only_a_complete_read_counts_from_its_beginning_and_an_error_is_logged_once(
    keycloak: Keycloak, applied: Applied, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS_BETWEEN_READS", 0.001)
    monkeypatch.setattr(module, "SECONDS_UNTIL_WARNED", 0)
    caplog.set_level(logging.INFO, module.__name__)
    heard, tried = list[float](), asyncio.Semaphore(0)
    keycloak.meanwhile = tried.release
    began = time.monotonic()
    polling = asyncio.create_task(poll(keycloak, applied, heard.append, own=OWN, since=NOW / 1000))

    async def reads(times: int) -> None:
        async with asyncio.timeout(60):
            for _ in range(2 * times):
                await tried.acquire()

    await reads(3)
    assert heard
    assert began <= heard[0] <= time.monotonic()

    keycloak.config["eventsEnabled"] = False
    await reads(2)  # one of them may have begun before
    known = len(heard)
    await reads(5)
    assert len(heard) == known

    keycloak.config["eventsEnabled"] = True
    await reads(3)
    assert len(heard) > known
    polling.cancel()

    said = [(record.levelname, record.message) for record in caplog.records if record.name == module.__name__]
    assert [level for level, _ in said] == ["WARNING", "INFO"]
    assert said[0][1].startswith("Keycloak's events are not read: its events are switched off")
    assert said[1][1] == "Keycloak's events are read again"


@pytest.mark.parametrize("status", [200, 403])
async def test_keycloak_has_run_the_script_before_anything_is_known_at_a_start_and_holds_up_no_later_read(
    keycloak: Keycloak, applied: Applied, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """It is asked for what a first exchange would wait for; what it answers does not matter."""
    monkeypatch.setattr(module, "SECONDS_BETWEEN_READS", 0.001)
    keycloak.clients[1]["attributes"] = {EXCHANGES: "true"}
    keycloak.connection.status, asked = status, keycloak.connection.evaluated
    known, failed = asyncio.Queue[int](), asyncio.Event()
    polling = asyncio.create_task(
        poll(keycloak, applied, lambda _: known.put_nowait(len(asked)), own=OWN, since=NOW / 1000)
    )

    async with asyncio.timeout(60):
        assert [await known.get() for _ in range(3)] == [1, 1, 1]
        keycloak.meanwhile = failed.set
        keycloak.config["eventsEnabled"] = False  # as by a Keycloak that has started again
        for _ in range(3):
            failed.clear()
            await failed.wait()
        keycloak.config["eventsEnabled"] = True
        while not known.empty():
            known.get_nowait()
        assert await known.get() == 1
    polling.cancel()
    assert asked == ["reader for alice"]


async def test_whatever_goes_wrong_is_tried_again_and_does_not_count(
    keycloak: Keycloak, applied: Applied, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS_BETWEEN_READS", 0.001)
    caplog.set_level(logging.INFO, module.__name__)
    heard = asyncio.Event()
    keycloak.users.append({"id": "strange", "time": NOW, "type": "UPDATE_PASSWORD"})  # of nobody
    polling = asyncio.create_task(poll(keycloak, applied, lambda _: heard.set(), own=OWN, since=NOW / 1000))

    async with asyncio.timeout(60):
        while not caplog.records:
            await asyncio.sleep(0.001)
    assert not heard.is_set()
    keycloak.users.clear()
    async with asyncio.timeout(60):
        await heard.wait()
    polling.cancel()


# --- what it comes to -------------------------------------------------------------------------------------------------


async def test_keycloak_has_no_say_over_what_an_operator_revoked(registry: Registry, tmp_path: Path) -> None:
    kept = State(tmp_path / "revocations.db")
    async with kept.open():
        workload = Identity(svid_of("authority/registry"))
        revocations = fresh_revocations()
        revocations.replace(0, {})
        stream = Stream(kept, revocations=revocations, identity=lambda: workload.svid)
        apply = change_applier(stream, AsyncMock())
        await stream.change("party", READER, "odd answers (operator olga)")

        await apply(Change(("party", READER), "keycloak: disabled"))
        await apply(Change(("party", READER), None))
        assert kept.revoked == {("party", READER): "odd answers (operator olga)"}
        await apply(Change(("user", "bob"), "keycloak: disabled"))
        await apply(Change(("user", "bob"), "keycloak: disabled"))
        assert kept.revoked["user", "bob"] == "keycloak: disabled"
        await apply(Change(("user", "bob"), None))

    assert kept.revoked == {("party", READER): "odd answers (operator olga)"}
    assert kept.number == 3
