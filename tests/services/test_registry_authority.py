"""The registry in process: its doors, what operators and attestation do behind them, and what everybody is told."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from authorities.registry import notify
from authorities.registry import stream as sending
from authorities.registry.publication import changes
from authorities.registry.reasons import RegistryReason
from tests.support.ca import workload
from tests.support.issuer import Issuer
from tests.support.outside import with_server
from tests.support.registry_authority import (
    ATTESTATION_PARTY,
    FOLLOWER,
    NAME,
    OPENING,
    READER,
    READERS_ID,
    Authority,
    authority_in,
    read,
    streaming,
)
from tests.support.registry_authority import told as told_at_last
from tests.support.system import svid_of
from tests.support.waiting import until
from zerotrust.authority.files.reading import RegistryError
from zerotrust.decision import Reason
from zerotrust.policy import PolicyError
from zerotrust.registry.events import read_heartbeat
from zerotrust.registry.feed import PATH
from zerotrust.registry.snapshot import OutsideServer, RegistrySnapshot
from zerotrust.registry.topics import HEARTBEAT
from zerotrust.revocation_list import Revocable
from zerotrust.spiffe.svid import Svid, WorkloadError

SERVER = "llamastack"


# doors


@pytest.mark.parametrize(
    "body",
    [
        {},
        *({"cause": none} for none in ("", "x" * 201, 7)),
        *({"cause": other} for other in ("drift: agents/reader/main.py: changed", " Drift: x", "keycloak: disabled")),
    ],
)
async def test_an_operator_gives_a_cause_that_passes_for_no_drift_and_for_no_event(
    authority: Authority, body: dict[str, Any]
) -> None:
    """Whoever reads `drift` restores files and reinstates the party."""
    path, token = f"/parties/{READER}/suspend", authority.operators_token()
    answer = await authority.ask("POST", path, body, token=token)

    assert (answer.status_code, answer.json()["reason"]) == (400, Reason.MALFORMED_BODY)
    assert authority.revocations.number == 0

    answer = await authority.ask("POST", path, {"cause": "it drifts: look"}, token=token)
    assert answer.status_code == 200, answer.text


async def test_every_party_follows_by_its_certificate_and_nobody_without_one(authority: Authority) -> None:
    for party in (READER, "inference", ATTESTATION_PARTY):
        assert await authority.heard(party)
    for token in (None, authority.operators_token()):
        answer = await authority.ask("GET", PATH, token=token)
        assert (answer.status_code, answer.json()["reason"]) == (403, Reason.UNKNOWN_PEER)


async def test_a_registry_that_is_asked_to_end_has_no_stream_that_keeps_it(authority: Authority) -> None:
    ending = authority.system.services[NAME].before_end
    assert ending is not None
    await ending()
    assert (await authority.ask("GET", PATH, peer=workload(READER))).text == ""


# operators


async def test_operators_see_every_party_as_what_it_was_approved_and_in_what_state(authority: Authority) -> None:
    told = (await authority.operate("GET", "/parties"))["parties"]

    registry = authority.issuer.registry
    states = {party["name"]: party["state"] for party in told}
    assert states == dict.fromkeys(registry.parties, "active") | {SERVER: "not enrolled"}
    reader = await authority.operate("GET", f"/parties/{READER}")
    approved = authority.system.snapshot.approved[READER]
    assert reader in told
    assert (reader["id"], reader["code"], reader["card"]) == (READERS_ID, approved.code, approved.card)
    assert (reader["cause"], reader["since"]) == (None, None)


async def test_a_suspended_party_stands_no_more_here_first_and_at_the_realm_second(authority: Authority) -> None:
    told = await authority.operate("POST", f"/parties/{READER}/suspend", {"cause": "a theft"})

    assert told["keycloak"] == "notified"
    assert (told["party"]["state"], told["party"]["cause"]) == ("suspended", "a theft (operator olivia)")
    assert told["party"]["since"] == pytest.approx(time.time(), abs=60)
    assert authority.revocations.check_party(READERS_ID).reason is Reason.REVOKED
    assert authority.realm.told == [("disable", READERS_ID, False)]  # it did not stand any more when that was told
    assert authority.events == [("suspend", READER)]

    told = await authority.operate("POST", f"/parties/{READER}/reinstate", {})

    assert (told["party"]["state"], told["party"]["cause"], told["keycloak"]) == ("active", None, "notified")
    assert authority.revocations.check_party(READERS_ID)
    assert authority.realm.told[1:] == [("enable", READERS_ID, False)]
    assert authority.events == [("suspend", READER), ("reinstate", READER)]


async def test_a_server_outside_that_takes_tokens_is_suspended_like_a_party(authority: Authority) -> None:
    """Its client is an audience alone, so Keycloak issues no token for it; and no party sends it any."""
    told = await authority.operate("POST", f"/parties/{SERVER}/suspend", {"cause": "it leaks"})

    assert (told["keycloak"], told["party"]["state"], told["party"]["id"]) == ("notified", "suspended", SERVER)
    assert authority.revocations.check_peer(SERVER).reason is Reason.PEER_REVOKED
    assert authority.realm.told == [("disable", SERVER, False)]

    told = await authority.operate("POST", f"/parties/{SERVER}/reinstate", {})

    assert authority.revocations.check_peer(SERVER)
    assert authority.realm.told[1:] == [("enable", SERVER, False)]
    assert told["party"]["state"] == "not enrolled"
    snapshot, pin = authority.system.snapshot, "0" * 64
    there = {SERVER: OutsideServer(origin="https://llama.example", spki_sha256=pin)}
    assert changes(snapshot, snapshot.model_copy(update={"outside": there})) == [SERVER]


async def test_a_server_outside_that_takes_no_tokens_is_nobody_to_suspend(tmp_path: Path, issuer: Issuer) -> None:
    """It would be called all the same."""
    known = Issuer(with_server(issuer.registry, "0" * 64), key=issuer.key)
    async with authority_in(tmp_path, known) as authority:
        told = (await authority.operate("GET", "/parties"))["parties"]
        assert "llama" not in {party["name"] for party in told}
        token = authority.operators_token()
        answer = await authority.ask("POST", "/parties/llama/suspend", {"cause": "it leaks"}, token=token)
        assert answer.status_code == 404


async def test_nobody_is_locked_out_who_alone_could_open_again(authority: Authority) -> None:
    token = authority.operators_token()

    for name in ("zt", "authority/policy"):
        answer = await authority.ask("POST", f"/parties/{name}/suspend", {"cause": "a theft"}, token=token)

        assert (answer.status_code, answer.json()["reason"]) == (409, RegistryReason.WOULD_LOCK_OUT)
        assert authority.realm.told == []
        assert (await authority.operate("GET", f"/parties/{name}"))["state"] == "active"
    assert (await authority.operate("POST", "/parties/walkthrough/suspend", {"cause": "a theft"}))[
        "keycloak"
    ] == "notified"


@pytest.mark.parametrize(
    ("name", "told"),
    [(NAME, "on record only: all parties go on trusting"), (ATTESTATION_PARTY, "It goes on issuing certificates")],
)
async def test_of_an_authority_it_is_said_what_its_suspension_does_not_do_and_it_can_be_taken_back(
    authority: Authority, name: str, told: str
) -> None:
    answer = await authority.operate("POST", f"/parties/{name}/suspend", {"cause": "a theft"})

    assert answer["party"]["state"] == "suspended"
    assert answer["keycloak"].startswith("not applicable: ")
    assert told in answer["keycloak"]
    report = {"parties": {}, "at": time.time()}
    refused = await authority.ask("POST", "/attestation", report, peer=workload(ATTESTATION_PARTY))
    assert (refused.status_code == 200) == (name == NAME)  # without its reports nothing is fresh

    answer = await authority.operate("POST", f"/parties/{name}/reinstate", {})

    assert answer["party"]["state"] == "active"
    assert await authority.report({}) == []


@pytest.mark.parametrize("again", ["suspended", "drifted"])
async def test_who_is_suspended_again_while_the_realm_hears_of_the_reinstatement_stays_so(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    await authority.operate("POST", f"/parties/{READER}/suspend", {"cause": "a theft"})
    meanwhile: list[asyncio.Task[Any]] = []

    async def enable_client(client_id: str) -> None:
        if again == "drifted":
            await authority.report({READER: "agents/reader/main.py"})
        else:
            suspend = authority.operate("POST", f"/parties/{READER}/suspend", {"cause": "a theft"})
            meanwhile.append(asyncio.create_task(suspend))
            since = authority.revocations._number
            await until(lambda: authority.revocations._number != since)
        await authority.realm._tell("enable", client_id)

    monkeypatch.setattr(authority.realm, "enable_client", enable_client)
    told = await authority.operate("POST", f"/parties/{READER}/reinstate", {})
    await asyncio.gather(*meanwhile)

    assert told["party"]["state"] == again
    assert not authority.revocations.check_party(READERS_ID)
    async with asyncio.timeout(5):  # what was decided last is what the realm hears last
        while [what for what, *_ in authority.realm.told][:3] != ["disable", "enable", "disable"]:
            await asyncio.sleep(0)


SUSPENDS: dict[str, tuple[str, Any, Revocable]] = {
    "a party": (f"/parties/{READER}/suspend", {"cause": "a theft"}, ("party", READERS_ID)),
    "a session": ("/revocations", {"kind": "session", "name": "s", "cause": "a theft"}, ("session", "s")),
}


@pytest.mark.parametrize("what", SUSPENDS)
async def test_a_realm_that_is_away_delays_no_revocation_and_is_notified_until_it_has_confirmed(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(notify, "SECONDS_BETWEEN_TRIES", 0.01)
    authority.realm.away = True
    path, body, subject = SUSPENDS[what]

    told = await authority.operate("POST", path, body)

    assert told["keycloak"] == "unconfirmed: Keycloak is away"
    assert subject in authority.revocations.revoked
    await until(lambda: len(authority.realm.told) >= 3)
    authority.realm.away = False
    assert len({what for what, _ in await told_at_last(authority, 3)}) == 1


async def test_a_report_that_was_held_back_is_no_news(authority: Authority) -> None:
    await authority.report({}, at=time.time() - 60)
    async with asyncio.timeout(5):
        while "attestation" not in (told := (await authority.operate("GET", "/revocations"))["sources"]):
            await asyncio.sleep(0)
    assert told["attestation"] == pytest.approx(60, abs=10)

    await authority.report({}, at=time.time() + 60)  # by a clock that is ahead: now, and no later
    assert 0 <= (await authority.operate("GET", "/revocations"))["sources"]["attestation"] < 30


# drift


async def test_attestation_is_heard_again_at_once_however_slow_the_realm_is(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = asyncio.Event()

    async def slow(_client_id: str) -> None:
        await go_on.wait()

    monkeypatch.setattr(authority.realm, "disable_client", slow)
    async with asyncio.timeout(5):
        assert await authority.report({READER: "x"}) == [READER]
        assert await authority.report({READER: "x"}) == []
    go_on.set()


# reload


async def test_another_version_is_published_and_used_here_at_once(authority: Authority) -> None:
    snapshot = authority.system.snapshot
    raw = snapshot.registry.model_dump()
    raw["parties"]["agent/editor"] = raw["parties"][READER]
    registry = type(snapshot.registry).model_validate(raw)
    other = snapshot.model_copy(update={"registry": registry})
    authority.found = lambda: other
    path = "/parties/agent/editor"
    assert (await authority.ask("GET", path, token=authority.operators_token())).status_code == 404

    assert await authority.operate("POST", "/reload", {}) == {"changed": ["agent/editor"]}

    assert (await authority.operate("GET", path))["state"] == "active"
    line = (await authority.heard())[0]
    assert (line["number"], line["document"]) == (2, other.model_dump(mode="json"))
    assert authority.events[-1] == ("reload", "registry")


@pytest.mark.parametrize("error", [RegistryError("agents: unknown scope\nzt: \x1b[31m"), PolicyError("line 3")])
async def test_a_registry_that_is_unfit_changes_nothing(authority: Authority, error: Exception) -> None:
    def unfit() -> RegistrySnapshot:
        raise error

    authority.found = unfit
    answer = await authority.ask("POST", "/reload", {}, token=authority.operators_token())

    told = "agents: unknown scope; zt: \\x1b[31m" if isinstance(error, RegistryError) else "line 3"
    assert (answer.status_code, answer.json()["reason"]) == (409, RegistryReason.REGISTRY_UNFIT)
    assert answer.json()["advice"] == told
    assert authority.system.services[NAME].snapshot is authority.system.snapshot
    assert (await authority.operate("GET", f"/parties/{READER}"))["state"] == "active"
    refusal = next(record for record in authority.system.records(NAME) if record["event"] == "refusal")
    assert refusal["detail"] == told


# what everybody is told


async def test_a_source_that_was_never_heard_makes_nothing_fresh(authority: Authority) -> None:
    *_, beat = (await authority.heard())[:4]

    _, oldest = read_heartbeat(beat, now=time.time())

    assert oldest > 3


async def test_a_change_is_on_the_disk_before_anybody_hears_of_it(
    tmp_path: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with streaming(tmp_path, issuer) as stream:
        monkeypatch.setattr(stream._kept, "change", _failing)
        lines = stream.follow(FOLLOWER, time.time() + 60)
        for _ in range(OPENING):
            await anext(lines)
        with pytest.raises(OSError, match="no room"):
            await stream.change("user", "alice", "a theft")

        assert stream._revocations.number == 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(lines)


async def _left(lines: AsyncIterator[str]) -> None:
    """What the server does when a follower is gone."""
    assert isinstance(lines, AsyncGenerator)
    await lines.aclose()


async def _failing(*_: object, **__: object) -> int:
    raise OSError("no room")


async def test_a_heartbeat_goes_on_after_a_time_without_an_identity(
    tmp_path: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "SECONDS_BETWEEN_HEARTBEATS", 0.005)
    svid, missing = svid_of(NAME), list[bool]()

    def identity() -> Svid:
        if missing:
            raise WorkloadError("no X.509-SVID, or it has expired")
        return svid

    async with streaming(tmp_path, issuer, identity) as stream, asyncio.timeout(10):
        lines, beat = stream.follow(FOLLOWER, time.time() + 60), asyncio.create_task(stream.beat())
        for _ in range(OPENING + 1):
            await anext(lines)
        missing.append(True)
        await asyncio.sleep(0.05)
        missing.clear()
        for _ in range(20):  # more than were waiting
            assert read((await anext(lines)).rstrip("\n"))["kind"] == HEARTBEAT.type
        assert not beat.done()
        beat.cancel()
        await _left(lines)
