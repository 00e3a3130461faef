"""Several verifiers, each of which reports about its own node, and one that falls silent."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from authorities.registry import nodes as module
from authorities.registry.app import MOST_PARTIES
from authorities.registry.keycloak.events import OURS, Change
from authorities.registry.reasons import RegistryReason
from authorities.registry.state import SILENT
from authorities.registry.stream import Stream
from tests.support.ca import verifier
from tests.support.issuer import Issuer
from tests.support.registry_authority import READER, Authority, authority_in, told
from zerotrust.decision import Reason
from zerotrust.spiffe.svid import LONGEST_X509_SVID

WRITER = "agent/writer"
REINSTATE = f"/parties/{WRITER}/reinstate"


class Clock:
    """The registry's, for the nodes."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


async def silent(authority: Authority, clock: Clock, seconds: int = 5, **reports: dict[str, str]) -> None:
    """Only these nodes report, every second."""
    for _ in range(seconds):
        clock.now += 1
        for node, parties in reports.items():
            await authority.report(parties, node=node)


async def state(authority: Authority, name: str) -> tuple[str, str | None]:
    party = await authority.operate("GET", f"/parties/{name}")
    return party["state"], party["cause"]


async def fresh(authority: Authority) -> bool:
    sources = (await authority.operate("GET", "/revocations"))["sources"]
    return bool(sources["attestation"] < 3)


async def test_the_parties_of_a_silent_node_are_refused_by_name_until_it_reports(
    authority: Authority, clock: Clock
) -> None:
    await authority.report({WRITER: ""}, node="b")
    await authority.report({}, node="c")  # has none, and holds nobody back
    await silent(authority, clock, 3, a={READER: ""})
    assert await state(authority, WRITER) == ("active", None)

    await silent(authority, clock, 2, a={READER: ""})
    assert await state(authority, WRITER) == ("suspended", f"{SILENT}no report of node b, or its clock is behind")
    assert await state(authority, READER) == ("active", None)
    assert await fresh(authority)
    assert authority.realm.told == []

    await authority.report({WRITER: ""}, node="b")
    assert await state(authority, WRITER) == ("active", None)
    assert authority.realm.told == []
    assert authority.events == [("suspend", WRITER), ("reinstate", WRITER)]


async def test_where_all_are_silent_nobody_is_refused_by_name_and_nothing_is_fresh_before_all_are_heard(
    authority: Authority, clock: Clock
) -> None:
    await authority.report({READER: ""}, node="a", at=time.time() - 60)
    await authority.report({WRITER: ""}, node="b", at=time.time() - 60)
    clock.now += 100

    await authority.report({READER: ""}, node="a")
    assert await state(authority, WRITER) == ("active", None)
    assert not await fresh(authority)
    await authority.report({WRITER: ""}, node="b")
    assert await fresh(authority)


@pytest.mark.parametrize("what", ["drifted", "suspended", "suspended at Keycloak", "gone from there"])
async def test_what_else_has_happened_to_a_party_outlives_the_silence_of_its_node(
    authority: Authority, clock: Clock, what: str
) -> None:
    await authority.report({WRITER: ""}, node="b")
    await silent(authority, clock, a={READER: ""})
    if what == "suspended":
        await authority.operate("POST", f"/parties/{WRITER}/suspend", {"cause": "a theft"})
    if what == "suspended at Keycloak":
        assert Change(("party", WRITER), f"{OURS}disabled").takes_effect((await state(authority, WRITER))[1])
        return
    report = {"drifted": {WRITER: "main.py"}, "suspended": {WRITER: ""}, "gone from there": {}}[what]
    await authority.report(report, node="b")

    there = {"drifted": "drifted", "suspended": "suspended", "gone from there": "active"}[what]
    assert (await state(authority, WRITER))[0] == there


async def test_an_operator_lets_a_party_go_on_whose_node_is_gone_for_good(
    tmp_path: Path, issuer: Issuer, clock: Clock
) -> None:
    async with authority_in(tmp_path, issuer) as authority:
        await authority.report({WRITER: "main.py", "inference": ""}, node="b")
        await silent(authority, clock, a={READER: "", WRITER: ""})
        assert (await authority.operate("POST", REINSTATE, {}))["party"]["state"] == "active"
        await silent(authority, clock, a={READER: "", WRITER: ""})

        assert await state(authority, WRITER) == ("active", None)
        assert (await state(authority, "inference"))[0] == "suspended"
        records = [one for one in authority.system.records("authority/registry") if one.get("action") == "reinstate"]
        assert [record["cause"] for record in records] == ["without node b"]


async def test_a_restart_lets_no_party_of_a_silent_node_in(tmp_path: Path, issuer: Issuer, clock: Clock) -> None:
    async with authority_in(tmp_path, issuer) as authority:
        await authority.report({"inference": ""}, node="gone")
        await silent(authority, clock, a={READER: ""}, b={WRITER: ""})
        assert (await state(authority, "inference"))[0] == "suspended"
        await authority.operate("POST", "/parties/orchestrator/suspend", {"cause": "a theft"})
    clock.now += 100
    async with authority_in(tmp_path, issuer, "another import") as authority:
        assert (await state(authority, "inference"))[0] == "suspended"
        await authority.report({READER: ""}, node="a")
        assert not await fresh(authority)  # as b was not heard
        await silent(authority, clock, a={READER: ""})
        assert await fresh(authority)
        assert {(await state(authority, name))[0] for name in (WRITER, "inference")} == {"suspended"}
        assert (await state(authority, READER))[0] == "active"
        assert [name.rpartition("/")[2] for _, name in await told(authority, 1)] == ["orchestrator"]


async def test_a_verifier_reports_for_the_one_node_of_its_certificate_and_there_are_so_many(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_NODES", 1)
    await authority.report({READER: "main.py"}, node="a")
    body = {"parties": {READER: ""}, "node": "a", "at": time.time()}
    for peer in verifier(), verifier("a", "b"), verifier("b"):
        answer = await authority.ask("POST", "/attestation", body, peer=peer)
        assert (answer.status_code, answer.json()["reason"]) == (403, RegistryReason.NODE_REFUSED)
    many = {"parties": {str(number): "" for number in range(MOST_PARTIES + 1)}, "at": time.time()}
    answer = await authority.ask("POST", "/attestation", many, peer=verifier("a"))
    assert (answer.status_code, answer.json()["reason"]) == (400, Reason.MALFORMED_BODY)
    assert (await state(authority, READER))[0] == "drifted"

    await authority.report({}, node="b")  # without parties, it takes no place
    await authority.report({}, node="a")
    await authority.report({WRITER: ""}, node="b")


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The parties that follow the registry's feed."""
    running = {f"spiffe://agents.example/{WRITER}"}
    monkeypatch.setattr(Stream, "follows_until", lambda _stream, party: 1.0 if party in running else None)
    return running


async def test_a_party_that_runs_and_that_its_verifier_reports_no_more_is_refused_after_the_life_of_a_certificate(
    authority: Authority, clock: Clock, running: set[str]
) -> None:
    """A verifier that has started again examines it within that time, or its code is not what was approved."""
    await authority.report({WRITER: ""}, node="b")
    await authority.report({}, node="b")
    assert await state(authority, WRITER) == ("active", None)

    await silent(authority, clock, LONGEST_X509_SVID + 1, b={})
    assert await state(authority, WRITER) == ("suspended", f"{SILENT}it runs, and no node reports it")
    await authority.report({WRITER: ""}, node="b")
    assert await state(authority, WRITER) == ("active", None)

    await silent(authority, clock, 2, b={}, c={WRITER: ""})  # it runs at another node by now
    await silent(authority, clock, LONGEST_X509_SVID + 1, b={}, c={WRITER: ""})
    assert await state(authority, WRITER) == ("active", None)


async def test_a_verifier_that_starts_again_clears_no_drift(
    authority: Authority, clock: Clock, running: set[str]
) -> None:
    await authority.report({WRITER: "main.py"}, node="b")
    await authority.report({}, node="b")
    with pytest.raises(AssertionError, match=RegistryReason.DRIFTED):
        await authority.operate("POST", REINSTATE, {})

    running.clear()  # its process has ended
    await authority.report({}, node="b")
    assert (await authority.operate("POST", REINSTATE, {}))["party"]["state"] == "active"
