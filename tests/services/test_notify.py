"""What the realm hears of a revocation: all of it, in the order of the decisions, and also after a restart."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from authorities.registry import notify
from authorities.registry.keycloak.admin import UnknownError
from authorities.registry.notify import Notifier
from authorities.registry.state import Entry, State
from tests.support.ca import REGISTRY_PARTY
from tests.support.issuer import Issuer
from tests.support.registry_authority import HANG, READER, READERS_ID, Authority, authority_in, put, told
from zerotrust.revocation_list import RETENTION, Revocable

ALICE = {"kind": "user", "name": "alice", "cause": "a theft"}
SESSION = {"kind": "session", "name": "session-2", "cause": "a theft"}
BECAUSE = {"cause": "a theft"}


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "SECONDS_BETWEEN_TRIES", 0.01)


async def test_what_the_realm_was_not_notified_of_before_a_restart_it_is_after_it(
    tmp_path: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with authority_in(tmp_path, issuer) as before:
        await known(tmp_path)  # else it would be told of everybody when it is first asked who it is
        await before.operate("POST", "/parties/inference/suspend", BECAUSE)  # it hears of that
        monkeypatch.setattr(before.realm, "user_id", alices_id)  # then it is away for the rest
        before.realm.away = True
        await before.operate("POST", f"/parties/{READER}/suspend", BECAUSE)
        await before.operate("POST", "/revocations", ALICE)
        await before.operate("POST", "/revocations", SESSION)
        await before.operate("POST", "/parties/agent/writer/suspend", BECAUSE)
        await before.operate("POST", "/parties/agent/writer/reinstate", {})

    async with authority_in(tmp_path, issuer) as again:
        assert sorted(await told(again, 3)) == [
            ("disable", READERS_ID),
            ("disable user", "alices-id"),
            ("end session", "session-2"),
        ]
        await noted(tmp_path)  # whoever ends it before would have them told once more
    async with authority_in(tmp_path, issuer) as at_last:
        assert await told(at_last, 0) == []


async def known(folder: Path) -> None:
    """Return once it is on the disk which realm is told."""
    async with asyncio.timeout(HANG):
        with contextlib.closing(sqlite3.connect(next(folder.rglob("revocations.db")))) as database:
            while not database.execute("SELECT id FROM realm").fetchall():
                await asyncio.sleep(0.01)


async def noted(folder: Path) -> None:
    """Return once it is on the disk that there is nothing more to tell."""
    pending: object = None
    async with asyncio.timeout(HANG):
        while pending != set():
            state = State(next(folder.rglob("revocations.db")))
            async with state.open():
                pending = state.pending


async def alices_id(_name: str) -> str:
    return "alices-id"


async def test_the_realm_is_notified_also_of_what_expired_meanwhile(tmp_path: Path) -> None:
    """A session that lives on at the realm would get new tokens once nobody here remembers that it is revoked."""
    state = State(tmp_path / "revocations.db")
    async with state.open():
        await put(state, "session", "s", "a theft", pending=True)
        state.since["session", "s"] -= RETENTION["session"] + 1
        await put(state, "user", "u", "keycloak: disabled")
        assert ("session", "s") not in state.revoked
    again = State(tmp_path / "revocations.db")
    async with again.open():
        assert again.pending == {("session", "s")}
        await again.note_notified("session", "s")
    at_last = State(tmp_path / "revocations.db")
    async with at_last.open():
        assert at_last.pending == set()


async def test_what_has_begun_at_the_database_ends_though_its_caller_is_cancelled(tmp_path: Path) -> None:
    """As the notifier's tasks are when the authority ends.  A connection that was being opened would stay open."""
    begun: list[Callable[[State], Coroutine[Any, Any, object]]] = [
        lambda state: state.change([Entry(("user", "u"), "a theft"), Entry(("party", "p"), "a theft")]),
        lambda state: state.assign_numbers({"registry": "a digest"}),
        lambda state: state.pending_for_new_realm("a realm", but=""),
        lambda state: state.note_notified("user", "u"),
    ]
    for begin in begun:
        state = State(tmp_path / "revocations.db")
        async with state.open():
            caller = asyncio.create_task(begin(state))
            await asyncio.sleep(0)
            caller.cancel()
    state = State(tmp_path / "revocations.db")
    async with state.open():
        assert state.revoked.keys() == {("user", "u"), ("party", "p")}
        assert state.pending == {("party", "p")}
        assert await state.assign_numbers({"registry": "another digest"}) == {"registry": 2}


async def suspend(authority: Authority) -> Any:
    return await authority.operate("POST", f"/parties/{READER}/suspend", BECAUSE)


async def reinstate(authority: Authority) -> Any:
    return await authority.operate("POST", f"/parties/{READER}/reinstate", {})


async def revoke(authority: Authority) -> Any:
    return await authority.operate("POST", "/revocations", ALICE)


async def reinstate_user(authority: Authority) -> Any:
    return await authority.operate("POST", "/reinstatements", ALICE)


Step = Callable[[Authority], Awaitable[Any]]
PARTY = (suspend, reinstate, "enable_client", ("enable", READERS_ID))
USER = (revoke, reinstate_user, "enable_user", ("enable user", "alices-id"))


@pytest.mark.parametrize(("revoke", "back", "enable", "last"), [PARTY, USER], ids=["party", "user"])
async def test_a_realm_that_was_away_does_not_hear_of_a_suspension_after_its_end(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, revoke: Step, back: Step, enable: str, last: tuple[str, str]
) -> None:
    """It is told again all the while, also while it is being told of the reinstatement."""
    heard = getattr(authority.realm, enable)

    async def slow(name: str) -> None:
        await heard(name)
        await asyncio.sleep(0.1)  # ten times as long as between two tries

    monkeypatch.setattr(authority.realm, enable, slow)
    monkeypatch.setattr(authority.realm, "user_id", alices_id)
    authority.realm.away = True
    await revoke(authority)
    authority.realm.away = False
    await back(authority)

    assert (await told(authority, 2))[-1] == last
    assert not authority.revocations.revoked


async def test_a_suspension_ends_no_later_one_that_it_had_to_wait_for(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, turns = asyncio.Event(), 0
    heard, turn = authority.realm.disable_client, Notifier.turn

    async def slow(name: str) -> None:
        await go_on.wait()
        await heard(name)

    def noting(self: Notifier, subject: Revocable) -> asyncio.Lock:
        nonlocal turns
        turns += 1
        return turn(self, subject)

    monkeypatch.setattr(authority.realm, "disable_client", slow)
    monkeypatch.setattr(Notifier, "turn", noting)
    asked: list[asyncio.Task[Any]] = []
    async with asyncio.timeout(10):
        for place, step in enumerate((suspend, reinstate, suspend), 1):
            asked.append(asyncio.create_task(step(authority)))
            while turns < place:  # it has done what it does before its turn
                await asyncio.sleep(0)
        go_on.set()
        _, answer, _ = await asyncio.gather(*asked)

    assert answer["keycloak"] == "not applicable: it was suspended again"
    assert answer["party"]["state"] == "suspended"
    assert {what for what, _ in await told(authority, 1)} == {"disable"}


async def test_a_subjects_turn_is_forgotten_when_nobody_needs_it(authority: Authority, tmp_path: Path) -> None:
    notifier = Notifier(authority.realm, State(tmp_path / "revocations.db"), own="registry")
    held = notifier.turn(("session", "held"))
    for number in range(100):
        async with notifier.turn(("session", str(number))):
            assert notifier.turn(("session", "held")) is held

    assert list(notifier._turns) == [("session", "held")]


# --- a realm that was imported anew -----------------------------------------------------------------------------------


async def test_a_realm_that_was_imported_anew_hears_of_everybody_who_is_revoked(tmp_path: Path, issuer: Issuer) -> None:
    async with authority_in(tmp_path, issuer) as before:
        await before.operate("POST", f"/parties/{READER}/suspend", BECAUSE)
        await before.operate("POST", f"/parties/{REGISTRY_PARTY}/suspend", BECAUSE)
        await before.operate("POST", "/revocations", ALICE)
        await before.operate("POST", "/revocations", SESSION)
        await before.operate("POST", "/parties/agent/writer/suspend", BECAUSE)
        await before.operate("POST", "/parties/agent/writer/reinstate", {})
        assert await before.report({"inference": "main.py: changed"}) == ["inference"]
        await noted(tmp_path)

    async with authority_in(tmp_path, issuer) as same:
        assert await told(same, 0) == []

    async with authority_in(tmp_path, issuer, "another import") as imported:
        assert sorted(await told(imported, 3)) == [
            ("disable", READERS_ID),
            ("disable", "spiffe://agents.example/inference"),
            ("disable user", "alices-id"),
        ]
        # What was suspended for drift stays so, though nothing drifts any more.
        assert (await imported.operate("GET", "/parties/inference"))["state"] == "suspended"
        await noted(tmp_path)

    async with authority_in(tmp_path, issuer, "another import") as again:
        assert await told(again, 0) == []


async def test_of_whom_the_realm_does_not_know_it_need_not_be_notified(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = list[str]()

    async def unknown(name: str) -> None:
        tries.append(name)
        raise UnknownError(f"it has no {name}")

    for what in "disable_client", "enable_client", "end_session":
        monkeypatch.setattr(authority.realm, what, unknown)

    assert (await suspend(authority))["keycloak"] == f"not applicable: it has no {READERS_ID}"
    back = await reinstate(authority)
    assert (back["keycloak"], back["party"]["state"]) == (f"not applicable: it has no {READERS_ID}", "active")
    ended = await authority.operate("POST", "/revocations", SESSION)
    assert ended["keycloak"] == "not applicable: it has no session-2"
    assert authority.revocations.revoked.keys() == {("session", "session-2")}  # refused all the same
    await asyncio.sleep(0.1)  # ten times as long as between two tries
    assert tries == [READERS_ID, READERS_ID, "session-2"]
