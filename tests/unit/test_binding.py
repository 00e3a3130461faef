"""The gate, and who is at the other end: binding, and the doors that a certificate opens."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.types import Receive, Scope, Send

from tests.support.ca import NO_CERTIFICATE, workload
from tests.support.door import Door, for_the_tool, tool_call
from tests.support.issuer import Issuer
from zerotrust.audit.counts import IN_FULL
from zerotrust.context import current_peer, current_principal
from zerotrust.decision import Reason
from zerotrust.routes import MutualTLS, Public, Routes
from zerotrust.spiffe.svid import Peer

READER, WRITER, ORCHESTRATOR = "agent/reader", "agent/writer", "orchestrator"


async def at_the_tool(door: Door, token: str | None, peer: Peer | None = None) -> Any:
    version = [(b"mcp-protocol-version", b"2026-07-28")]
    return await door.ask(token, path="/mcp", headers=version, body=orjson.dumps(tool_call()), peer=peer)


@pytest.mark.parametrize(
    ("peer", "presenter"),
    [(workload(WRITER), "spiffe://agents.example/agent/writer"), (NO_CERTIFICATE, "a caller without a certificate")],
)
async def test_the_record_says_who_presented_a_token_of_another(
    door: Door, issuer: Issuer, peer: Peer, presenter: str
) -> None:
    token = issuer.delegated(READER, aud=issuer.registry.id(ORCHESTRATOR))

    assert (await door.ask(token, peer=peer)).reason == Reason.NOT_BOUND
    [record] = door.requests
    assert record["detail"] == f"issued to spiffe://agents.example/agent/reader, presented by {presenter}"


# doors that a certificate opens


async def who(_scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with who is at the other end, and with the body."""
    body = (await receive()).get("body", b"")
    try:
        caller = current_principal().subject
    except LookupError:
        caller = "nobody"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{current_peer().id} {caller} ".encode() + body})


@pytest.fixture(params=["tool/documents", ORCHESTRATOR], ids=["inner", "front"])
def peers_door(tmp_path: Path, issuer: Issuer, request: pytest.FixtureRequest) -> Any:
    routes: Routes = {
        ("GET", "/card"): MutualTLS(any_workload=True),
        ("POST", "/report"): MutualTLS({READER}),
        ("GET", "/health"): Public(),
    }
    door = Door(tmp_path, issuer, party=request.param, routes=routes, handler=who)
    yield door
    door.close()


async def test_any_party_gets_in_by_its_certificate_and_asks_for_nothing_in_a_users_name(
    peers_door: Door, issuer: Issuer
) -> None:
    parties = [READER, WRITER, ORCHESTRATOR, "inference", "authority/attestation"]
    for name in parties:
        reply = await peers_door.ask(None, "GET", "/card", peer=workload(name))
        assert (reply.status, reply.body.decode()) == (200, f"{issuer.registry.id(name)} nobody ")
    with_token = await peers_door.ask(issuer.token(), "GET", "/card", peer=workload(READER))
    assert with_token.body.decode().split() == [issuer.registry.id(READER), "nobody"]
    calls = [record for record in await peers_door.everything() if record["event"] == "request"]
    assert [call["peer"] for call in calls] == [issuer.registry.id(name) for name in (*parties, READER)]
    assert {("subject" in call, call["operation"], call["allowed"], call["reason"]) for call in calls} == {
        (False, "GET /card", True, "granted")
    }


async def test_what_a_party_repeats_by_its_certificate_is_counted(tmp_path: Path, issuer: Issuer) -> None:
    """It must not be able to fill the disk."""
    anyone = MutualTLS(any_workload=True)
    routes: Routes = {("GET", "/card"): anyone, ("POST", "/report"): anyone}
    door = Door(tmp_path, issuer, routes=routes, handler=who, count_every=3600)
    for _ in range(10 * IN_FULL):
        await door.ask(None, "GET", "/card", peer=workload(READER))
    await door.ask(None, "POST", "/report", peer=workload(READER))
    door.revocations.change(1, ("party", issuer.registry.id(READER)), "drift")
    for _ in range(10 * IN_FULL):
        await door.ask(None, "GET", "/card", peer=workload(READER))
    await door.gate.counter.flush()

    records = await door.everything()
    in_full = [(r["operation"], r["reason"]) for r in records if r["event"] == "request"]
    card, report = ("GET /card", "granted"), ("POST /report", "granted")
    assert in_full == [*[card] * IN_FULL, report, *[("GET /card", "revoked")] * IN_FULL]
    assert len([r for r in records if r["event"] == "outcome"]) == IN_FULL + 1
    counts = [count for r in records if r["event"] == "counts" for count in r["repeated"]]
    reader = issuer.registry.id(READER)
    assert [(c["peer"], c["subject"], c["reason"], c["times"]) for c in counts] == [
        (reader, None, "granted", 9 * IN_FULL),
        (reader, None, "revoked", 9 * IN_FULL),
    ]
    door.close()


async def test_a_routine_call_is_not_recorded_and_its_refusal_is(tmp_path: Path, issuer: Issuer) -> None:
    """What a journal's delivery leaves in the journal would be delivered, too: an idle system would never rest."""
    routes: Routes = {("POST", "/journal"): MutualTLS({READER}, routine=True)}
    door = Door(tmp_path, issuer, routes=routes, handler=who, count_every=3600)
    for _ in range(10 * IN_FULL):
        assert (await door.ask(None, "POST", "/journal", peer=workload(READER))).status == 200
    await door.gate.counter.flush()
    assert await door.everything() == []

    assert (await door.ask(None, "POST", "/journal", peer=workload(WRITER))).status == 403
    [refused] = await door.everything()
    assert (refused["operation"], refused["reason"]) == ("POST /journal", Reason.UNKNOWN_PEER)
    door.close()


# another version of the registry


async def test_what_was_verified_by_the_version_before_is_verified_anew(tool_door: Door, issuer: Issuer) -> None:
    token, expected = for_the_tool(issuer), tool_door.gate.expected
    assert (await at_the_tool(tool_door, token)).status == 200

    reader = issuer.registry.id(READER)
    without = replace(expected, max_ttls={party: life for party, life in expected.max_ttls.items() if party != reader})
    tool_door.gate.use(expected=without, policy=tool_door.gate.policy)
    assert (await at_the_tool(tool_door, token)).reason == Reason.UNKNOWN_PARTY

    gone = replace(expected, peers={party: name for party, name in expected.peers.items() if party != reader})
    tool_door.gate.use(expected=gone, policy=tool_door.gate.policy)
    assert (await at_the_tool(tool_door, token)).reason == Reason.UNKNOWN_PEER
