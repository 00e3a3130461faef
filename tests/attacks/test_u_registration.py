"""U. What registration can express and this system does not deploy: a web console, and a server outside."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.attack import Attempt, Scene, Target, Tried, Tries, attack
from tests.support.ca import NO_CERTIFICATE, the_ca, workload
from tests.support.console import CONSOLE
from tests.support.door import Clock
from tests.support.issuer import Issuer
from tests.support.outside import NAME, Server, answering, snapshot_of
from tests.support.system import CHAIN, POLICY, ROOT, fresh_revocations, registry, running
from zerotrust.authority.files.lock import FILES
from zerotrust.authority.files.reading import RegistryError
from zerotrust.authority.files.snapshot_files import load_snapshot
from zerotrust.context import REQUEST, RequestContext
from zerotrust.decision import Denied
from zerotrust.hardening.pools import Connections, MCPConnections
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.policy import CedarPolicy, PolicyError
from zerotrust.service import Service
from zerotrust.transport.egress import EgressClients, calling_with

MODEL_SERVER = "llamastack"


@asynccontextmanager
async def with_a_console(folder: Path, issuer: Issuer, kind: type[Service]) -> AsyncIterator[Target]:
    """All services."""
    clock = Clock(time.time())
    async with running(folder, issuer=issuer, kind=kind, clock=clock) as system:
        yield Target(system, issuer, clock)


@attack(195, with_a_console)
async def test_a_consoles_token_in_other_hands(target: Target) -> Tries:
    """It names no actor, as a public client's, and yet is no bearer token."""
    token = target.token("orchestrator", azp=target.issuer.registry.id(CONSOLE))
    assert (await target.send("orchestrator", token, peer=workload(CONSOLE))).handled
    for peer in (NO_CERTIFICATE, *map(workload, ("orchestrator", "agent/reader", "inference"))):
        yield await target.send("orchestrator", token, peer=peer)


@attack(196, with_a_console)
async def test_a_consoles_token_at_a_door_that_it_may_not_call(target: Target) -> Tries:
    """Who starts chains does so where the registry lets it."""
    first = dict.fromkeys((CHAIN, "lineage", "txn", "root")) | {"azp": target.issuer.registry.id(CONSOLE)}
    for party in ("agent/reader", "tool/documents", "inference"):
        yield await target.send(party, target.token(party, **first), peer=workload(CONSOLE))


@attack(219, with_a_console)
async def test_one_users_tasks_over_a_console(target: Target) -> Tries:
    """It shows a certificate as parties do, and does not act for its users."""
    token = target.token("orchestrator", azp=target.issuer.registry.id(CONSOLE), scope="task.run")

    async def given(_user: str) -> Tried:
        task = {"request": "Summarise."}
        return await target.send("orchestrator", token, path="/tasks", body=task, peer=workload(CONSOLE))

    yield await target.tasks_at_once(given)


@dataclass
class Outside(Scene):
    """A server that is no party, and whoever answers in its place."""

    pin: str
    origin: str
    heard: list[bytes]
    name: str = NAME
    suspended: bool = False

    def egress(self, caller: str) -> EgressClients:
        """What a party's calls go out by."""
        snapshot, revocations = snapshot_of(registry(), self.pin, self.origin, self.name), fresh_revocations()
        if self.suspended:
            revocations.change(1, ("party", self.name), "it leaks")
        directory, svid = snapshot.directory(caller), the_ca().svid(caller)
        return EgressClients(
            snapshot.callees(),
            revocations=revocations,
            transport=Connections(directory, svid),
            mcp_transport=MCPConnections(directory, svid),
        )


Call = Callable[[EgressClients, str], Awaitable[httpx.Response]]


async def _plain(egress: EgressClients, origin: str) -> httpx.Response:
    return await egress.without_token.get(f"{origin}/v1/models")


def _with_a_token(audience: str = "inference") -> Call:
    async def call(egress: EgressClients, origin: str) -> httpx.Response:
        token = ExchangedToken(registry().id(audience), "t", time.time() + 60, "T")
        REQUEST.set(RequestContext())  # what the gate does for the request being handled
        with calling_with(token):
            return await egress.http.get(f"{origin}/v1/models")

    return call


async def _tried(target: Outside, caller: str, call: Call) -> Attempt:
    egress, before = target.egress(caller), len(target.heard)
    try:
        told = str((await call(egress, target.origin)).status_code)
        reasons: tuple[str, ...] = ()
    except Denied as refusal:
        told, reasons = str(refusal.status), (refusal.reason,)
    except httpx.HTTPError:
        told, reasons = "no connection", ()
    finally:
        await egress.close()
    return Attempt(told, len(target.heard) > before, reasons)


@asynccontextmanager
async def outside(_folder: Path, _issuer: Issuer, _kind: type[Service]) -> AsyncIterator[Outside]:
    """The server that the registry knows."""
    it = Server()
    async with answering(it.context()) as (origin, heard, _):
        yield Outside(it.pin, origin, heard)


@asynccontextmanager
async def impostor(_folder: Path, _issuer: Issuer, _kind: type[Service]) -> AsyncIterator[Outside]:
    """Somebody with a key of their own, where that server should be."""
    async with answering(Server().context()) as (origin, heard, _):
        yield Outside(Server().pin, origin, heard)


@attack(197, outside)
async def test_another_party_reaches_the_server_outside(target: Outside) -> Tries:
    """One party alone does; an agent that a model has talked into it does not."""
    assert (await _tried(target, "inference", _plain)).succeeded
    for caller in ("orchestrator", "agent/reader", "agent/writer", "tool/documents"):
        yield await _tried(target, caller, _plain)


@attack(198, impostor)
async def test_somebody_else_answers_for_the_server_outside(target: Outside) -> Tries:
    """With any certificate but the one of the key that the registry knows."""
    yield await _tried(target, "inference", _plain)


@attack(199, outside)
async def test_a_token_of_ours_goes_outside(target: Outside) -> Tries:
    """Not even the party that reaches the server has a token for it."""
    yield await _tried(target, "inference", _with_a_token())


@asynccontextmanager
async def model_server(_folder: Path, _issuer: Issuer, _kind: type[Service]) -> AsyncIterator[Outside]:
    """A server that takes tokens."""
    it = Server()
    async with answering(it.context()) as (origin, heard, _):
        yield Outside(it.pin, origin, heard, name=MODEL_SERVER)


@asynccontextmanager
async def suspended_server(_folder: Path, _issuer: Issuer, _kind: type[Service]) -> AsyncIterator[Outside]:
    """The same, suspended by an operator."""
    async with model_server(_folder, _issuer, _kind) as it:
        it.suspended = True
        yield it


@attack(251, model_server)
async def test_a_token_for_another_audience_goes_to_the_model_server(target: Outside) -> Tries:
    """It would be good at a party; the caller's own token above all."""
    assert (await _tried(target, "inference", _with_a_token(MODEL_SERVER))).succeeded
    for audience in ("inference", "orchestrator", "tool/documents"):
        yield await _tried(target, "inference", _with_a_token(audience))


@attack(252, model_server)
async def test_another_party_with_a_token_for_the_model_server(target: Outside) -> Tries:
    """Stolen or not: nobody but inference has a way there."""
    for caller in ("orchestrator", "agent/reader", "agent/writer", "tool/documents"):
        yield await _tried(target, caller, _with_a_token(MODEL_SERVER))


@attack(253, suspended_server)
async def test_a_model_server_that_is_suspended_is_called(target: Outside) -> Tries:
    """With a token that was issued before."""
    yield await _tried(target, "inference", _with_a_token(MODEL_SERVER))


@attack(254, with_a_console)
async def test_a_model_servers_token_at_a_party(target: Target) -> Tries:
    """Whoever runs that server has it, and all that its chain says is true."""
    for party in ("orchestrator", "agent/reader", "tool/documents", "inference"):
        yield await target.send(party, target.token(party, aud=MODEL_SERVER))
        yield await target.send(party, target.token(party, aud=MODEL_SERVER, scope="llama.chat"))


@attack(208, with_a_console)
async def test_a_registry_that_was_edited_and_not_approved(target: Target) -> Tries:
    """Not in who may call whom, but where nobody looks: a scope is no longer confirmed, a token lives longer."""
    for old, new in (("high_risk: true", "high_risk: false"), ("max_ttl: 60", "max_ttl: 120")):
        folder = target.system.folder
        for file in FILES:
            (folder / file).write_bytes((ROOT / file).read_bytes())
        edited = (folder / "registry.yaml").read_text().replace(old, new)
        (folder / "registry.yaml").write_text(edited)
        try:
            load_snapshot(folder, ROOT / "start" / "generated" / "local.yaml")
        except RegistryError as error:
            why = "not what registry.lock approves"
            yield Attempt("not served", succeeded=False, recorded=[why] if why in str(error) else [], reason=why)
        else:
            yield Attempt("served", succeeded=True)


@attack(209, with_a_console)
async def test_policies_that_are_nested_too_deeply(target: Target) -> Tries:
    """Many more levels end the process that parses them; with as few as here, it is shown that they are parsed."""
    for deep in ("(" * 40 + "true" + ")" * 40, "context has a" + ".a" * 40 + " || true"):
        policies = f"permit(principal, action, resource) when {{ {deep} }};"
        try:
            CedarPolicy(policies=policies, schema=POLICY.cedar_schema, entities=[])
        except PolicyError as error:
            why = "more than 32" if "more than 32" in str(error) else ""
            yield Attempt("refused", succeeded=not why, recorded=[why], reason="more than 32")
        else:
            yield Attempt("parsed", succeeded=True)
