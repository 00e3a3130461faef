"""G. Revocations: who was revoked, and who would like to say so, or to say otherwise."""

import time
from contextlib import suppress
from typing import Any

from starlette.types import Receive, Scope, Send

from authorities.registry.reasons import RegistryReason
from tests.support.attack import DOORS, REGISTRY, Attempt, Target, Tries, Watched, attack
from tests.support.attack_operated import on_the_feed
from tests.support.attack_registry import Registered, spiffe_id, with_registry
from tests.support.ca import CA, NO_CERTIFICATE, the_ca, workload
from tests.support.system import POLICY
from zerotrust.adapters.agent_card import CARD_PATH
from zerotrust.decision import Reason
from zerotrust.registry.events import document, one_change, state
from zerotrust.registry.model import Registry
from zerotrust.registry.topics import REGISTRY as REGISTRY_TOPIC
from zerotrust.registry.topics import REVOCATIONS, LineKind
from zerotrust.revocation_list import Revocable
from zerotrust.runtime import policy_of

ORCHESTRATOR, READER, WRITER, TOOL = "orchestrator", "agent/reader", "agent/writer", "tool/documents"
OPERATORS: dict[str, Any] = {"sub": "olga", "groups": ["/operators"]}


@attack(83)
async def test_a_party_that_was_suspended_goes_on(target: Target) -> Tries:
    """Its own calls, those in which it acted before, those to it; and a task in the middle of which it happened.

    And a client that people sign in with: what it was given, and all that was derived from that.
    """
    revocations = target.system.revocations
    tokens = {party: target.token(party) for party in DOORS}
    for party, token in tokens.items():
        assert (await target.send(party, token)).handled
    revocations.change(1, ("party", spiffe_id(ORCHESTRATOR)), "an operator")
    for party, token in tokens.items():  # as who acts, and as who acted before
        if DOORS[party].chain:
            by = "acting-parties-not-suspended"
            further = [] if DOORS[party].chain == (ORCHESTRATOR,) else [f"{by} (the latest party alone)"]
            yield await target.send(party, token, by=("caller-not-revoked", by, *further))
    card: dict[str, Any] = {"method": "GET", "path": CARD_PATH, "body": b""}
    yield await target.send(READER, None, **card, peer=workload(ORCHESTRATOR), by="peer-not-suspended")
    revocations.change(2, ("party", spiffe_id(ORCHESTRATOR)), None)
    assert (await target.send(READER, tokens[READER])).handled

    revocations.change(3, ("party", spiffe_id(READER)), "an operator")
    reader = target.system.services[READER]
    assert isinstance(reader, Watched)
    before = len(reader.handled)
    tried = await target.give(ORCHESTRATOR, reason=Reason.GRANTED)
    # It would be asked for its card at most, which takes no token.
    tried.effect = f"POST {DOORS[READER].path}" in reader.handled[before:]
    yield tried.stopped_by("no-call-to-suspended-peer")
    revocations.change(4, ("party", spiffe_id(READER)), None)

    thought = target.system.apps[target.system.addresses["inference"]]

    async def while_it_thinks(scope: Scope, receive: Receive, send: Send) -> None:
        if revocations.number == 4:
            revocations.change(5, ("party", spiffe_id(READER)), "an operator")
        await thought(scope, receive, send)

    target.system.apps[target.system.addresses["inference"]] = while_it_thinks
    tried = await target.give(READER, on_record_at="inference")
    tried.effect = "certificate" in tried.answer.text
    yield tried.stopped_by("caller-not-revoked")

    revocations.change(6, ("party", spiffe_id(READER)), None)
    revocations.change(7, ("party", "walkthrough"), "an operator")
    for party, token in tokens.items():  # as the client by which the user came
        names = ("caller-not-revoked", by, f"{by} (without the client)")
        yield await target.send(party, token, by=names)


@attack(89, with_registry)
async def test_a_party_that_makes_itself_what_it_likes(target: Registered) -> Tries:
    """At the registry's doors, in its file by a name that nearly reads like another, and on its stream."""
    doors = [
        ("POST", f"/parties/{READER}/reinstate", {}),
        ("POST", f"/parties/{WRITER}/suspend", {"cause": "a rival"}),
        ("POST", "/reload", {}),
        ("GET", "/parties", b""),
    ]
    await _reported(target, {READER: "agents/reader/main.py"})
    for method, path, body in doors:
        door: dict[str, Any] = {"method": method, "path": path, "body": body}
        mine = target.operating(**(target.issuer.chain(ORCHESTRATOR, READER) | OPERATORS))
        yield await target.send(REGISTRY, mine, **door, reason=Reason.REVOKED, by="row 83: caller-not-revoked")
        async for tried in target.by_no_operator(READER, **door):
            yield tried
    for method, path in (("POST", "/parties"), ("PUT", f"/parties/{READER}")):
        token = target.operating()
        no_door: dict[str, Any] = {"method": method, "path": path, "body": {}}
        tried = await target.send(REGISTRY, token, **no_door, reason=Reason.NO_PERMISSION_FOR_ROUTE)
        yield tried.stopped_by("row 9: route-listed")
    shadow = await target.send(
        REGISTRY,
        target.operating(),
        path="/parties/agent/shadow/reinstate",
        body={},
        reason=RegistryReason.NO_SUCH_PARTY,
    )
    shadow.effect = shadow.answer.status_code == 200
    yield shadow.stopped_by("the registry has no such party")
    again = await target.send(
        REGISTRY, target.operating(), path=f"/parties/{READER}/reinstate", body={}, reason=RegistryReason.DRIFTED
    )
    again.effect = spiffe_id(READER) not in target.revoked
    yield again.stopped_by("reinstated-without-drift")
    for peer in (workload(READER), workload(ORCHESTRATOR), NO_CERTIFICATE, workload("authority/attestation/evil")):
        report: dict[str, Any] = {"parties": {WRITER: "a rival"}, "at": time.time()}
        door = {"path": "/attestation", "body": report}
        tried = await target.send(REGISTRY, None, **door, peer=peer, reason=Reason.UNKNOWN_PEER)
        yield tried.stopped_by("peer-admitted-by-route")
    for attempt in [*_named_nearly(target), *_on_the_stream(target)]:
        yield attempt


def _named_nearly(target: Target) -> list[Attempt]:
    """A name that looks like a party's does not get into the registry's file."""
    tries = []
    known = target.issuer.registry
    for name in ("agent/re\u0430der", "agent/Reader", "agent/reader ", "agent/reader/", "agent//reader"):
        entries = {**known.model_dump()["parties"], name: known.model_dump()["parties"][READER]}
        with suppress(ValueError):
            Registry.model_validate(known.model_dump() | {"parties": entries})
            tries.append(Attempt("registered", succeeded=True))
        tries.append(Attempt("no name", succeeded=False).stopped_by("pydantic"))
    return tries


def _on_the_stream(target: Target) -> list[Attempt]:
    """What the registry does not sign does not count, and what it signed before reinstates nobody."""
    registrar, reader = the_ca().svid(REGISTRY), the_ca().svid(READER)
    lost: Revocable = ("party", spiffe_id(READER))
    narrower = target.system.snapshot.model_copy(update={"approved": {}})
    reinstated, aged = one_change(registrar.id, 8, lost, None), the_ca().svid(REGISTRY, age=200, life=100)
    lines = [
        (reader, REVOCATIONS, one_change(reader.id, 8, lost, None), "statement-signer"),
        (reader, REGISTRY_TOPIC, document(registrar.id, 2, narrower), "statement-signer"),
        (CA().svid(REGISTRY), REVOCATIONS, reinstated, "statement-chain"),
        (aged, REVOCATIONS, state(registrar.id, 9, {}), "row 110: statement-certificate-in-time"),
        (registrar, REVOCATIONS, state(registrar.id, 6, {}), "state-not-older"),  # genuine, and old
        (registrar, REVOCATIONS, one_change(registrar.id, 7, lost, None), "row 91: no-change-missed"),  # heard already
        (registrar, LineKind("a statement", "JWT"), reinstated, "the feed has no lines of that kind"),
    ]
    return on_the_feed(target, {lost: "drift"}, lines)


async def _reported(target: Registered, drifted: dict[str, str]) -> None:
    """Attestation tells what it has found."""
    peer = workload("authority/attestation")
    assert (
        await target.send(REGISTRY, None, path="/attestation", body={"parties": drifted, "at": time.time()}, peer=peer)
    ).handled


@attack(90)
async def test_a_token_from_before_the_registry_took_it_away(target: Target) -> Tries:
    """A token says what was true when it was made; what the registry says now is what counts."""
    reading, asking = target.token(TOOL), target.token(READER)
    assert (await target.send(TOOL, reading)).handled
    assert (await target.send(READER, asking)).handled
    _narrowed(target, READER, delegates=["tool.write", "inference.run", "llama.chat"])
    yield await target.send(TOOL, reading, by=("party-may-hold-scope", "new-policy-used"))
    _narrowed(target, READER, delegates=["tool.read", "inference.run", "llama.chat"], may_call=["inference"])
    yield await target.send(TOOL, reading, by=("party-may-call", "new-policy-used"))
    _narrowed(target, ORCHESTRATOR, may_call=[WRITER])
    yield await target.send(READER, asking, by=("party-may-call", "new-policy-used"))
    assert (await target.send(WRITER, target.token(WRITER))).handled


def _narrowed(target: Target, name: str, **entry: Any) -> None:
    """The registry has another version, and everybody has heard of it."""
    snapshot = target.system.snapshot
    said = snapshot.registry.model_dump()
    said["parties"][name] |= entry
    registry = Registry.model_validate(said)
    for service in target.system.services.values():
        service.use(snapshot.model_copy(update={"registry": registry}), policy_of(POLICY, registry))
