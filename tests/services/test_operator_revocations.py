"""What operators revoke besides parties, in process: whom it reaches in which order, and for how long it is known."""

import asyncio
import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy.exc

from authorities.registry import revocations as module
from authorities.registry.keycloak.admin import AdministrationError
from authorities.registry.notify import NOTIFIED, Notifier
from authorities.registry.reasons import RegistryReason
from authorities.registry.state import Entry, State
from authorities.registry.stream import Stream
from tests.support.issuer import Issuer
from tests.support.registry_authority import FOLLOWER, ME, OPENING, Authority, Realm, put, read, streaming
from zerotrust.decision import Reason, ReasonCode
from zerotrust.registry.topics import REVOCATIONS
from zerotrust.revocation_list import Revocable


def body(kind: str, name: str, cause: str = "a theft") -> dict[str, str]:
    return {"kind": kind, "name": name, "cause": cause}


async def revoked(authority: Authority) -> list[tuple[str, str, str]]:
    """What the registry says is revoked."""
    told = await authority.operate("GET", "/revocations")
    return [(one["kind"], one["name"], one["cause"]) for one in told["revoked"]]


# its doors


@pytest.mark.parametrize(
    ("kind", "name", "subject", "told", "realm"),
    [
        ("user", "alice", ("user", "alices-id"), NOTIFIED, [("disable user", "alices-id", False)]),
        ("session", "session-1", ("session", "session-1"), NOTIFIED, [("end session", "session-1", False)]),
        ("token", "ntrtte:T0", ("token", "ntrtte:T0"), module.NOT_FOR_TOKENS, []),
    ],
)
async def test_what_operators_revoke_is_revoked_here_first_and_at_the_realm_second(
    authority: Authority, kind: str, name: str, subject: Revocable, told: str, realm: list[Any]
) -> None:
    answer = await authority.operate("POST", "/revocations", body(kind, name))

    assert answer == {"keycloak": told}
    assert authority.revocations.revoked == {subject: "a theft (operator olivia)"}
    assert authority.realm.told == realm  # it was revoked already when that was told
    assert authority.events == [("revoke", f"{kind} {name}")]
    [event] = [e for e in authority.system.records("authority/registry") if e.get("action") == "revoke"]
    assert event["cause"] == "a theft"


async def test_an_operator_does_not_lock_themselves_out(authority: Authority) -> None:
    token = authority.operators_token(sub="alices-id")

    answer = await authority.ask("POST", "/revocations", body("user", "alice"), token=token)

    assert (answer.status_code, answer.json()["reason"]) == (409, RegistryReason.WOULD_LOCK_OUT)
    assert authority.revocations.revoked == {}
    assert authority.realm.told == []
    session = await authority.ask("POST", "/revocations", body("session", "alices-id"), token=token)
    assert session.status_code == 200  # they sign in again


@pytest.mark.parametrize("path", ["/revocations", "/reinstatements"])
@pytest.mark.parametrize(
    ("away", "status", "reason"), [(False, 400, RegistryReason.UNKNOWN_SUBJECT), (True, 503, Reason.ISSUER_UNAVAILABLE)]
)
async def test_a_user_that_nobody_knows_is_distinguished_from_one_that_nobody_can_be_asked_about(
    authority: Authority, path: str, away: bool, status: int, reason: ReasonCode
) -> None:
    authority.realm.away = away

    answer = await authority.ask("POST", path, body("user", "nobody"), token=authority.operators_token())

    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert authority.revocations.revoked == {}
    assert authority.realm.told == []
    assert authority.revocations.number == 0


@pytest.mark.parametrize(
    "asked",
    [
        {"kind": "party", "name": "agent/reader"},
        {"kind": "before", "name": "1"},
        {"kind": "everything", "name": "x"},
        {"kind": "token", "name": ""},
        {"kind": "token", "name": "x" * 513},
        {"kind": "token", "name": 7},
        {"kind": "token"},
        {"name": "alice"},
        {"kind": "user", "name": "alice", "cause": ""},
        {"kind": "user", "name": "alice", "cause": "x" * 201},
        {"kind": "user", "name": "alice", "cause": "keycloak: disabled"},  # an event would reinstate what that revokes
        {"kind": "user", "name": "alice", "cause": " Keycloak: disabled"},
        {"kind": "user", "name": "alice", "cause": "drift: agents/reader/main.py"},
    ],
)
async def test_what_is_no_revocation_revokes_nothing(authority: Authority, asked: dict[str, Any]) -> None:
    answer = await authority.ask("POST", "/revocations", asked, token=authority.operators_token())

    assert (answer.status_code, answer.json()["reason"]) == (400, Reason.MALFORMED_BODY)
    assert authority.revocations.number == 0


async def test_a_user_comes_back_and_at_the_realm_first(authority: Authority) -> None:
    await authority.operate("POST", "/revocations", body("user", "alice"))

    assert await authority.operate("POST", "/reinstatements", body("user", "alice")) == {"keycloak": NOTIFIED}

    assert authority.realm.told[1:] == [("enable user", "alices-id", False)]  # it was still revoked by then
    assert authority.revocations.revoked == {}
    assert [event for event, _ in authority.events] == ["revoke", "reinstate"]


async def test_a_user_who_was_not_revoked_is_left_as_they_are(authority: Authority) -> None:
    answer = await authority.operate("POST", "/reinstatements", body("user", "alice"))

    assert answer == {"keycloak": "not applicable: the user was not revoked"}
    assert authority.realm.told == []
    assert authority.events == []


@pytest.mark.parametrize("kind", ["session", "token"])
async def test_a_session_and_a_token_do_not_come_back(authority: Authority, kind: str) -> None:
    await authority.operate("POST", "/revocations", body(kind, "x"))

    answer = await authority.ask("POST", "/reinstatements", body(kind, "x"), token=authority.operators_token())

    assert (answer.status_code, answer.json()["reason"]) == (400, Reason.MALFORMED_BODY)
    assert (kind, "x") in authority.revocations.revoked


async def test_nobody_comes_back_whom_the_realm_does_not_let_back(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_user: str) -> None:
        raise AdministrationError("Keycloak is away")

    await authority.operate("POST", "/revocations", body("user", "alice"))
    monkeypatch.setattr(authority.realm, "enable_user", away)
    answer = await authority.ask("POST", "/reinstatements", body("user", "alice"), token=authority.operators_token())

    assert (answer.status_code, answer.json()["reason"]) == (503, Reason.ISSUER_UNAVAILABLE)
    assert ("user", "alices-id") in authority.revocations.revoked


async def test_operators_see_what_is_revoked_since_when_and_how_fresh_that_is(authority: Authority) -> None:
    await authority.report({})
    await authority.operate("POST", "/revocations", body("token", "T0"))
    await authority.operate("POST", "/revocations", body("user", "alice"))

    told = await authority.operate("GET", "/revocations")

    assert told["number"] == 2
    assert [(one["kind"], one["name"], one["cause"]) for one in told["revoked"]] == [
        ("token", "T0", "a theft (operator olivia)"),
        ("user", "alices-id", "a theft (operator olivia)"),
    ]
    assert all(one["since"] == pytest.approx(time.time(), abs=60) for one in told["revoked"])
    assert 0 <= told["sources"]["attestation"] < 60


async def test_operators_see_the_latest_of_more_than_can_be_shown(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHOWN", 2)
    for number in range(3):
        await authority.operate("POST", "/revocations", body("token", f"T{number}"))

    told = await authority.operate("GET", "/revocations")

    assert ([one["name"] for one in told["revoked"]], told["entries"]) == (["T1", "T2"], 3)


# how long it is remembered


def rows(folder: Path) -> list[tuple[int, str, str]]:
    with contextlib.closing(sqlite3.connect(folder / "revocations.db")) as database:
        return list(database.execute("select number, kind, name from changes order by number"))


async def test_changes_are_made_all_or_none(tmp_path: Path) -> None:
    state = State(tmp_path / "revocations.db")
    async with state.open():
        await state.change([Entry(("user", "u"), "x", pending=True), Entry(("session", "s"), "y")])
        cannot_be_written: Any = object()
        with pytest.raises(sqlalchemy.exc.SQLAlchemyError):
            await state.change([Entry(("user", "u"), None), Entry(("token", "T"), cannot_be_written)])

        assert (state.number, state.revoked) == (2, {("user", "u"): "x", ("session", "s"): "y"})
        assert state.pending == {("user", "u")}
    assert [(kind, name) for _, kind, name in rows(tmp_path)] == [("user", "u"), ("session", "s")]


async def test_of_each_subject_the_last_change_alone_stays_on_the_disk(tmp_path: Path) -> None:
    state = State(tmp_path / "revocations.db")
    async with state.open():
        for cause in ("drift", None, "a theft", None):
            await put(state, "party", "p", cause)
            await put(state, "user", "u", cause)
        await put(state, "user", "p", "another subject of that name")
    assert rows(tmp_path) == [(7, "party", "p"), (8, "user", "u"), (9, "user", "p")]

    again = State(tmp_path / "revocations.db")
    async with again.open():
        assert (again.number, again.revoked) == (9, {("user", "p"): "another subject of that name"})


# in which order it is told


async def test_everybody_has_heard_before_the_realm_is_notified(tmp_path: Path, issuer: Issuer) -> None:
    async with streaming(tmp_path, issuer) as stream, asyncio.timeout(30):
        lines = stream.follow(FOLLOWER, time.time() + 60)
        for _ in range(OPENING):
            await anext(lines)
        heard: list[dict[str, Any]] = []

        class Slow(Realm):
            async def end_session(self, session: str) -> None:
                heard.append(read((await anext(lines)).rstrip("\n")))  # with nothing told, this would wait for ever
                assert stream._kept.revoked == stream._revocations.revoked == {("session", session): "x (operator o)"}

        realm = Slow()
        notifier = Notifier(realm, stream._kept, own=ME)
        revocations = module.OperatorRevocations(stream, stream._kept, realm, notifier)
        answer = await revocations.revoke(module.Revocation(kind="session", name="s", cause="x"), "o")

        assert answer == NOTIFIED
        assert [event["sub_id"]["id"] for event in heard] == ["session s"]
        assert heard[0]["kind"] == REVOCATIONS.type


async def test_a_change_that_has_begun_is_done_although_whoever_asked_for_it_is_cut_off(
    tmp_path: Path, issuer: Issuer
) -> None:
    async with streaming(tmp_path, issuer) as stream, asyncio.timeout(30):
        for number in range(20):  # wherever in it the end may come
            asking = asyncio.create_task(_changed(stream, f"u-{number}"))
            for _ in range(number):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait([asking])
        await stream.wait_until_settled()
        await stream.change("user", "last", "x")

        assert stream._kept.number == stream._revocations.number
        assert stream._kept.revoked == stream._revocations.revoked
        assert ("user", "last") in stream._kept.revoked
        assert len(rows(tmp_path)) == stream._kept.number > 1


async def _changed(stream: Stream, name: str) -> None:
    await stream.change("user", name, "x")
