"""The services in process: real gates, real SDKs, real journals; only the network and the issuer are not."""

import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from authorities.policy.versions import content_of
from testkit import Identity
from testkit.wire import MCPWire, Wire, fresh_revocations, lifespan
from tests.support.ca import FOREVER, holder, the_ca
from tests.support.issuer import ISSUER, Issuer
from tests.support.records import records
from zerotrust.adapters.agent_card import CARD_PATH
from zerotrust.authority.files.deployment import Deployment, load_deployment
from zerotrust.authority.files.lock import load_lock
from zerotrust.authority.files.snapshot_files import load_registry
from zerotrust.decision import PolicyEngine
from zerotrust.hardening.pools import origin
from zerotrust.registry.model import Registry
from zerotrust.registry.snapshot import OutsideServer, RegistrySnapshot
from zerotrust.runtime import policy_of
from zerotrust.service import Service
from zerotrust.spiffe.svid import Peer, Svid
from zerotrust.transport.egress import EgressClients

__all__ = ["MCPWire", "Wire", "fresh_revocations", "lifespan"]

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "policies"
POLICY = content_of(POLICIES).document


@cache
def deployment() -> Deployment:
    """Where the committed registry's parties run."""
    return load_deployment(ROOT / "start" / "generated" / "local.yaml", registry())


@cache
def registry() -> Registry:
    """The committed registry."""
    return load_registry(ROOT / "registry.yaml")


CHAIN: str = registry().chain_claim
"""The claim of a token that names the chain of actors; all tests hold with either."""
OTHER_CHAIN = "zt_act" if CHAIN == "act" else "act"
"""That of the realm of long chains: so a real Keycloak has both."""


@cache
def svid_of(party: str) -> Svid:
    """The one certificate that a party has in all tests."""
    return the_ca().svid(party)


class Reaching(httpx.AsyncBaseTransport):
    """A wire between parties, and what leads to the servers outside, by origin."""

    def __init__(self, wire: Wire, outside: Mapping[str, httpx.AsyncBaseTransport]) -> None:
        self._wire, self._outside = wire, outside

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        way = self._outside.get(origin(request.url), self._wire)
        return await way.handle_async_request(request)


class System:
    """Parties by name, all alive, with the records they wrote."""

    def __init__(
        self,
        folder: Path,
        registry: Registry,
        issuer: Issuer,
        kind: type[Service],
        clock: Callable[[], float],
        outside: Mapping[str, OutsideServer] = MappingProxyType({}),
    ) -> None:
        self.folder, self.registry, self.issuer, self._kind, self._clock = folder, registry, issuer, kind, clock
        self.apps: dict[str, ASGIApp] = {"https://issuer.test": issuer.app}
        self.addresses = {name: registry.address(name) for name in registry.services}
        approved = load_lock(ROOT / "registry.lock").parties
        operated = registry.authorities.registry  # the console calls it with the tokens of operators
        addresses = self.addresses | {operated: registry.address(operated)}
        self.snapshot = RegistrySnapshot(
            registry=registry, addresses=addresses, approved=approved, outside=dict(outside)
        )
        self.reaching: dict[str, httpx.AsyncBaseTransport] = {}
        """What leads to the servers outside, by origin."""
        self.revocations, here = fresh_revocations(), policy_of(POLICY, registry)
        self.policy: Callable[[str], PolicyEngine] = lambda _name: here
        """The policy engine of a party."""
        self.services: dict[str, Service] = {}

    def service(self, name: str) -> Service:
        """Compose one party as `zerotrust.service.run` does, over this system's wires."""
        peer = Peer(self.registry.id(name), FOREVER)
        wire, mcp_wire = Reaching(Wire(self.apps, peer), self.reaching), MCPWire(self.apps, peer)
        self.services[name] = self._kind(
            name,
            snapshot=self.snapshot,
            revocations=self.revocations,
            policy=self.policy(name),
            issuer=ISSUER,
            data=self.folder / name.replace("/", "-"),
            workload=Identity(svid_of(name)),
            egress=EgressClients(
                self.snapshot.callees(), revocations=self.revocations, transport=wire, mcp_transport=mcp_wire
            ),
            identity_http=httpx.AsyncClient(transport=wire),
            clock=self._clock,
        )
        return self.services[name]

    def client(self, name: str, token: str | None = None, *, peer: Peer | None = None) -> httpx.AsyncClient:
        """A client of that party, with a token or without; in the hands of whom the token was issued to."""
        peer = peer or holder(token, at=name)
        auth = self.issuer.presenting(token, peer) if token else None
        return httpx.AsyncClient(transport=Wire(self.apps, peer), base_url=self.addresses[name], auth=auth)

    def behind_its_card(self, name: str, app: ASGIApp) -> None:
        """Let `app` answer in the place of that agent, which goes on showing its card: else nobody would ask it."""
        genuine = self.apps[self.addresses[name]]

        async def shown(scope: Scope, receive: Receive, send: Send) -> None:
            await (genuine if scope["path"] == CARD_PATH else app)(scope, receive, send)

        self.apps[self.addresses[name]] = shown

    def records(self, name: str) -> list[dict[str, Any]]:
        """What that party has written down."""
        return records(self.folder / name.replace("/", "-") / "journal.jsonl")

    def documents(self) -> dict[str, dict[str, str]]:
        """What the documents tool has stored, by id, looked up behind its back."""
        with contextlib.closing(sqlite3.connect(self.folder / "tool-documents" / "documents.db")) as database:
            database.row_factory = sqlite3.Row
            return {row["id"]: dict(row) for row in database.execute("select * from documents")}

    def reasons(self, name: str) -> list[str]:
        """The reasons of that party's records, oldest first."""
        return [record["reason"] for record in self.records(name) if "reason" in record]


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    """What a refusal says, in JSON or in JSON-RPC."""
    told: dict[str, Any] = answer.json()
    return dict(told["error"]["data"]) if "jsonrpc" in told else told


@asynccontextmanager
async def running(
    folder: Path,
    *names: str,
    issuer: Issuer | None = None,
    registered: Registry | None = None,
    kind: type[Service] = Service,
    clock: Callable[[], float] = time.time,
    outside: Mapping[str, OutsideServer] = MappingProxyType({}),
    decided_by: Callable[["System"], AbstractAsyncContextManager[None]] | None = None,
) -> AsyncIterator[System]:
    """A system with these parties alive, or with all workloads of the registry; `kind` may watch what they do.

    `decided_by` puts another policy engine into the system (`pdp.py`).
    """
    registered = registered or (issuer.registry if issuer else registry())
    system = System(folder, registered, issuer or Issuer(registered), kind, clock, outside)
    async with AsyncExitStack() as stack:
        if decided_by:
            await stack.enter_async_context(decided_by(system))
        for name in names or registered.services:
            create_app: Callable[[Service], ASGIApp] = import_module(_module(registered, name)).create_app
            app = create_app(system.service(name))
            system.apps[system.addresses[name]] = app
            await stack.enter_async_context(lifespan(app))
        yield system


def _module(registered: Registry, name: str) -> str:
    return f"{registered.measured[name]}.main".replace("/", ".")
