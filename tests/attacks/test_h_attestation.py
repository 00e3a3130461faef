"""H. Attestation: an identity for whom it is not, or for code that nobody approved."""

import tempfile
import time
from types import SimpleNamespace
from typing import Any

import pytest

from authorities.attestation.local.launch import Launch
from authorities.attestation.spiffe.svid_issuer import own_svid
from authorities.registry import nodes
from authorities.registry.reasons import RegistryReason
from authorities.registry.stream import Stream
from start.launches import launch_of
from tests.support.attack import DOORS, REGISTRY, Attempt, Target, Tried, Tries, attack
from tests.support.attack_launch import Machine, machine
from tests.support.attack_registry import Registered, spiffe_id, with_registry
from tests.support.ca import FOREVER, verifier, workload
from tests.support.launched import FETCH, FETCH_IN_A_FORK
from tests.support.leaks import holds_token
from zerotrust.spiffe.svid import Peer
from zerotrust.spiffe.tls import client_context, server_context

NOT_LAUNCHED = "not launched by this authority"


@attack(92, machine)
async def test_a_process_that_nobody_launched(target: Machine) -> Tries:
    """It knows the right words, is the same user's, and a launched party's own child; that is not who it is."""
    probe = await target.probe()
    assert (await probe.run(FETCH)).count(".") == 2
    yield await target.stranger(FETCH, NOT_LAUNCHED)
    yield await target.answered(probe, FETCH_IN_A_FORK, NOT_LAUNCHED)


@attack(93, machine)
async def test_an_identity_of_somebody_else(target: Machine) -> Tries:
    probe = await target.probe()
    writer = f"__import__('spiffe').SpiffeId({spiffe_id('agent/writer')!r})"
    tried = await target.answered(probe, FETCH.replace("})", f"}}, {writer})"), "asked for another identity")
    yield tried


@attack(94, machine)
async def test_code_that_is_not_what_was_approved(target: Machine) -> Tries:
    """Changed before the launch, or after it; approved, but for somebody else."""
    helper = target.code / "helper.py"
    genuine = helper.read_text()

    def launch(party: str) -> Launch:
        path = target.place / f"{party.replace('/', '-')}.sock"
        return Launch(party_id=spiffe_id(party), name=party, code="agents/reader", env={"ZT_PROBE": str(path)})

    for name in ("helper.py", "planted.py", "helper.pyc"):
        (target.code / name).write_text("value = 'another'\n")
        tried = await target.launched(launch("inference"), f"agents/reader/{name}")
        yield tried.stopped_by("code-as-locked")
        (target.code / name).unlink()
        helper.write_text(genuine)
    tried = await target.launched(launch("agent/nobody"), "agents/reader/helper.py")
    yield tried.stopped_by("code-as-locked")

    probe = await target.probe()
    assert (await probe.run(FETCH)).count(".") == 2
    for name in ("main.py", "helper.py", "planted.py"):
        before = (target.code / name).read_text() if (target.code / name).exists() else None
        (target.code / name).write_text("value = 'another'\n")
        tried = await target.answered(probe, FETCH, f"changed: agents/reader/{name}")
        yield tried.stopped_by("code-unchanged-since-launch")
        (target.code / name).unlink() if before is None else (target.code / name).write_text(before)
    shared = target.code.parents[1] / "library/shared.py"
    shared.write_text("value = 'another'\n")
    tried = await target.answered(probe, FETCH, "changed: library/shared.py")
    yield tried.stopped_by("code-unchanged-since-launch")
    shared.write_text("value = 'genuine'\n")
    planted = probe.launched.stage.path / "jwt.py"
    planted.write_text("")
    tried = await target.answered(probe, FETCH, f"changed: {planted}")
    yield tried.stopped_by("code-unchanged-since-launch")


@attack(95)
async def test_a_name_that_nearly_is_somebodys(target: Target) -> Tries:
    """Certificates that some authority may have issued, for names that begin, or read, like that of who may call."""
    for party, door in DOORS.items():
        if not door.chain:
            continue
        name = target.claims(party)["azp"]
        for nearly in (
            f"{name}-evil",
            f"{name}/evil",
            name.replace("agents.example", "agents.example.evil"),
            name.replace("agents.example", "evil"),
            name[:-1],
        ):  # the handshake refuses a name that is no SPIFFE ID
            yield await target.send(party, target.token(party), peer=Peer(nearly, FOREVER))


@attack(96, with_registry)
async def test_code_that_changes_under_a_running_party(target: Registered) -> Tries:
    """Its tokens live for a minute yet, and are worth nothing; and no operator can say that all is well."""
    reader, tool = "agent/reader", "tool/documents"
    reading = target.token(tool)
    assert (await target.send(tool, reading)).handled
    peer = workload("authority/attestation")
    drifted = {"parties": {reader: "agents/reader/main.py"}, "at": time.time()}
    assert (await target.send(REGISTRY, None, path="/attestation", body=drifted, peer=peer)).handled
    yield await target.send(tool, reading, by=("drift-suspends", "caller-not-revoked"))
    yield await target.send("inference", target.token("inference"), by=("drift-suspends", "caller-not-revoked"))
    again = await target.send(
        REGISTRY, target.operating(), path=f"/parties/{reader}/reinstate", body={}, reason=RegistryReason.DRIFTED
    )
    again.effect = spiffe_id(reader) not in target.revoked
    yield again.stopped_by("reinstated-without-drift")
    if not again.effect:  # what is put back is not trusted again by itself
        assert spiffe_id(reader) in target.clients.disabled
        await target.send(REGISTRY, None, path="/attestation", body={"parties": {}, "at": time.time()}, peer=peer)
        yield await target.send(tool, reading, by=("drift-suspends", "caller-not-revoked"))


async def _report(target: Registered, peer: Peer, parties: dict[str, str], **expected: Any) -> Tried:
    body = {"parties": parties, "node": "local", "at": time.time()}
    return await target.send(REGISTRY, None, path="/attestation", body=body, peer=peer, **expected)


async def _reinstated(target: Registered, reader: str) -> Tried:
    path = f"/parties/{reader}/reinstate"
    tried = await target.send(REGISTRY, target.operating(), path=path, body={}, reason=RegistryReason.DRIFTED)
    tried.effect = spiffe_id(reader) not in target.revoked
    return tried


@attack(553, with_registry)
async def test_another_nodes_verifier_clears_a_drift(target: Registered) -> Tries:
    reader = "agent/reader"
    assert (await _report(target, verifier("a"), {reader: "agents/reader/main.py"})).handled
    for parties in {}, {reader: ""}:
        assert (await _report(target, verifier("b"), parties)).handled
        yield await _reinstated(target, reader)


@attack(556, with_registry)
async def test_a_verifier_that_starts_again_clears_a_drift(target: Registered) -> Tries:
    """It has not yet examined the party, which runs on."""
    reader = "agent/reader"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stream, "follows_until", lambda _stream, party: 1.0 if party == spiffe_id(reader) else None)
        assert (await _report(target, verifier("b"), {reader: "agents/reader/main.py"})).handled
        assert (await _report(target, verifier("b"), {})).handled
        yield await _reinstated(target, reader)


@attack(554, with_registry)
async def test_a_verifier_speaks_for_another_node(target: Registered) -> Tries:
    """By what it says in its report; its certificate names no node, or several."""
    reader = "agent/reader"
    assert (await _report(target, verifier("local"), {reader: "agents/reader/main.py"})).handled
    for peer in verifier(), verifier("b", "local"):
        tried = await _report(target, peer, {}, reason=RegistryReason.NODE_REFUSED)
        tried.effect = (await _reinstated(target, reader)).effect
        yield tried


@attack(555, with_registry)
async def test_the_verifier_of_a_node_is_silenced(target: Registered) -> Tries:
    """Nobody would notice that code changes there, while another node's verifier goes on to report."""
    tool, clock = "tool/documents", SimpleNamespace(now=0.0)
    reading = target.token(tool)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nodes, "time", SimpleNamespace(monotonic=lambda: clock.now))
        assert (await _report(target, verifier("b"), {"agent/reader": ""})).handled
        assert (await target.send(tool, reading)).handled
        for _ in range(5):
            clock.now += 1
            assert (await _report(target, verifier("a"), {"agent/writer": ""})).handled
        yield await target.send(tool, reading, by=("silent-node-refused", "caller-not-revoked"))
        assert (await _report(target, verifier("b"), {"agent/reader": ""})).handled
        assert (await target.send(tool, reading)).handled


@attack(97, machine)
async def test_a_key_where_it_could_be_taken(target: Machine) -> Tries:
    """No key is in any file, at no time that a file could be kept; and no second process has the same identity."""
    folder = target.place / "tmp"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        svid = own_svid(target.registry, target.authority._issuer)
        server_context(svid, certificate_needed=True)
        client_context(svid, {})
        assert target.authority.server_certificate("localhost")
    probe = await target.probe()
    await probe.run(FETCH)
    yield Attempt("no key", target.leaks).stopped_by("key-never-on-disk")
    environment = await probe.run("import os; answer = repr(dict(os.environ))")
    in_environment = Attempt("no key", "PRIVATE" in environment or holds_token(environment))
    yield in_environment.stopped_by("no code puts a key there")

    path = target.place / "second.sock"
    twin = launch_of(target.registry, "agent/reader", {"ZT_PROBE": str(path)})
    yield (await target.launched(twin, "runs already")).stopped_by("launched-once")
