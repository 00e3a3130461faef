"""F. The chain in a token: at every door, and on the way from one to the next.

How the realm keeps the chain is in `test_f_exchange.py`; here is what still holds where a token says otherwise.
"""

from pathlib import Path
from typing import Any

import pytest

from lab.weak import Forwarding
from tests.support.attack import DOORS, Target, Tried, Tries, Watched, attack, tool_call
from tests.support.issuer import Issuer
from tests.support.records import counted_in
from tests.support.system import CHAIN, running
from zerotrust.decision import Reason

READER, WRITER, DOCUMENTS, INFERENCE = "agent/reader", "agent/writer", "tool/documents", "inference"
NO_CHAIN = {CHAIN: None, "lineage": None, "txn": None, "root": None}


def _handled(target: Target, *parties: str) -> int:
    """How often one of these got as far as to do something."""
    services = [target.system.services[party] for party in parties]
    return sum(len(service.handled) for service in services if isinstance(service, Watched))


async def _asked(target: Target, reason: Reason) -> Tried:
    """What becomes of a task that the reader is given, with a good token; nobody has succeeded yet."""
    tried = await target.send(READER, target.token(READER), reason=reason)
    tried.effect = False
    return tried


@attack(62)
async def test_a_realm_that_hands_out_a_token_of_another_user(target: Target) -> Tries:
    """The reader asks for alice's and gets bob's: it does nothing with it."""
    target.issuer.spoil = {"sub": "bob"}
    tried = await _asked(target, Reason.EXCHANGE_REFUSED)
    tried.effect = _handled(target, DOCUMENTS, INFERENCE) > 0
    yield tried


@attack(72)
async def test_a_token_that_names_nobody_who_acts(target: Target) -> Tries:
    """A token of alice's own client, where it does not belong; and a workload's, with the chain cut off."""
    for party in DOORS:
        issued_to = target.issuer.registry.id(READER) if party == "orchestrator" else None
        holder: dict[str, Any] = {"azp": issued_to} if issued_to else {}
        tried = await target.send(party, target.token(party, **NO_CHAIN, **holder))
        yield tried.stopped_by("row 90: party-may-call" if issued_to else "actor-required")
        if not issued_to:
            yield await target.send(party, target.token(party, **NO_CHAIN, azp="walkthrough"), by="row 36: azp-is-peer")


@attack(73)
async def test_rights_that_stand_in_the_chain(target: Target) -> Tries:
    """An actor has a name; whatever else an `act` says of it is not read (RFC 8693 section 4.1)."""

    def token(more: dict[str, Any], **changed: Any) -> str:
        return target.token(DOCUMENTS, **{CHAIN: target.claims(DOCUMENTS)[CHAIN] | more} | changed)

    tried = await target.send(DOCUMENTS, token({"scope": "tool.read"}, scope="inference.run"))
    yield tried.stopped_by("scopes-of-token (the actor's too)")
    tried = await target.send(DOCUMENTS, token({"groups": ["/engineering"]}, groups=[]), reason=Reason.POLICY_DENIED)
    yield tried.stopped_by("groups-of-token")
    tried = await target.send(DOCUMENTS, token({"roles": ["admin"]}, groups=[]), reason=Reason.POLICY_DENIED)
    yield tried.stopped_by("no code reads it")
    now = int(target.clock())
    late = token({"exp": now + 60, "iat": now}, iat=now - 60, exp=now - 1)
    yield await target.send(DOCUMENTS, late, reason=Reason.EXPIRED, by="no code reads it")


@attack(74)
async def test_a_token_that_is_passed_on(target: Target) -> Tries:
    """By hand, as an intruder inside a party would; and by an agent that was built so."""
    passed_on = "token-audience and party-may-call"
    for holder, onward, by in [
        ("orchestrator", READER, "row 72: actor-required"),
        (READER, DOCUMENTS, passed_on),
        (READER, INFERENCE, passed_on),
        (DOCUMENTS, INFERENCE, "row 46: scope-held"),
        (INFERENCE, DOCUMENTS, "row 46: scope-held"),
    ]:
        yield await target.send(onward, target.token(holder), by=by)
    # What the agents here do instead: each hop sees a token of its own, that comes from the one before.
    told = await target.send(READER, target.token(READER, jti="inbound"), reason=Reason.GRANTED)
    records = [record for party in (DOCUMENTS, INFERENCE) for record in await target.records(party)]
    told.effect = any(record.get("token_id") == "inbound" for record in records)
    assert told.effect or [record for record in records if record.get("lineage", [])[-1:] == ["inbound"]]
    yield told.stopped_by(f"{Forwarding.instead_of} and {passed_on}")


@pytest.mark.attack(74, "refused")
async def test_an_agent_that_passes_its_token_on_gets_nowhere(tmp_path: Path, issuer: Issuer) -> None:
    kind = type("ForwardingAndWatched", (Watched, Forwarding), {})
    async with running(tmp_path, issuer=issuer, kind=kind) as system:
        target = Target(system, issuer)
        await target.send(READER, target.token(READER))

        records = [record for party in (DOCUMENTS, INFERENCE) for record in await target.records(party)]
        refused = [seen["reason"] for record in records for seen in counted_in(record)]
        assert set(refused) == {Reason.AUDIENCE_MISMATCH}
        assert _handled(target, DOCUMENTS, INFERENCE) == 0
        assert issuer.exchanges == []


@attack(70)
async def test_rights_of_somebody_who_acted_before(target: Target) -> Tries:
    """Only who acts now counts for a decision (RFC 8693 section 4.1), whoever stands behind it in the chain."""
    for chain, scope, body in (
        (("orchestrator", READER, WRITER), "tool.read", tool_call("read", id="ENG-101")),
        ((READER, WRITER), "tool.read", tool_call("read", id="ENG-101")),
        ((WRITER, READER), "tool.write", tool_call("create", title="x", text="x")),
        ((READER, "orchestrator"), "tool.read", tool_call("read", id="ENG-101")),
    ):
        token = target.token(DOCUMENTS, **target.issuer.chain(*chain), scope=scope)
        yield await target.send(DOCUMENTS, token, body=body)


@attack(71)
async def test_an_agent_does_what_is_for_a_person_alone(target: Target) -> Tries:
    """What is published may be replaced by its department, in person: not by an agent for one of them."""
    for number, chain in enumerate((("orchestrator", WRITER), ("orchestrator", READER, WRITER), (WRITER,))):
        before = target.system.documents()
        token = target.writing(**target.issuer.chain(*chain))
        tried = await target.send(DOCUMENTS, token, body=tool_call("replace", id="ENG-101", text=f"Gone {number}."))
        tried.effect = target.system.documents() != before
        yield tried
