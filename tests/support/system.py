"""The services in process: real gates, real SDKs, real journals; only the network and the issuer are not."""

import asyncio
import contextlib
import contextvars
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import httpx2
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.support.ca import FOREVER, TRUST_DOMAIN, holder, the_ca
from tests.support.issuer import ISSUER, Issuer
from tests.support.records import records
from zerotrust.adapters.agent_card import CARD_PATH
from zerotrust.registry.files import load_policy
from zerotrust.registry.lock import load_lock
from zerotrust.registry.model import Registry, load_registry
from zerotrust.registry.snapshot import RegistrySnapshot
from zerotrust.revocation import Revocations
from zerotrust.run import policy_of
from zerotrust.service import Service
from zerotrust.spiffe.svid import Peer, Svid
from zerotrust.transport.egress import EgressClients

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "authorities" / "policy"
POLICY = load_policy(POLICIES)


def registry() -> Registry:
    """The committed registry."""
    return load_registry(ROOT / "registry.yaml")


def fresh_revocations() -> Revocations:
    """Nobody is revoked, and that stays known for as long as any test takes."""
    revocations = Revocations(clock=time.monotonic)
    revocations.bound = FOREVER
    revocations.replace(0, {})
    revocations.confirm(0, 0.0)
    return revocations


class FakeWorkload:
    """Stands for the Workload API."""

    def __init__(self, party: str) -> None:
        self._party = party

    @property
    def svid(self) -> Svid:
        """A real certificate of the tests' authority."""
        return _svid(self._party)

    async def assertion(self, audience: str) -> str:
        """An assertion that only the fake issuer believes."""
        assert audience == ISSUER
        return f"assertion of {self._party}"


@cache
def _svid(party: str) -> Svid:
    return the_ca().svid(party.removeprefix(f"spiffe://{TRUST_DOMAIN}/"))


def over_tls(app: ASGIApp, peer: Peer) -> ASGIApp:
    """The app, as it is called over a connection with that peer at the other end."""

    async def called(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": {**scope.get("state", {}), "peer": peer}}, receive, send)

    return called


class Wire(httpx.AsyncBaseTransport):
    """Takes requests to apps by their origin.  Each runs in its own context and to its end, as behind a socket."""

    def __init__(self, apps: Mapping[str, ASGIApp], peer: Peer) -> None:
        """`peer` is who the apps see at the other end."""
        self._apps, self._peer = apps, peer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        app = self._apps.get(f"{request.url.scheme}://{request.url.netloc.decode()}")
        if app is None:
            raise httpx.ConnectError("nobody listens there", request=request)
        handled = httpx.ASGITransport(over_tls(app, self._peer), raise_app_exceptions=False).handle_async_request(
            request
        )
        return await asyncio.shield(asyncio.create_task(handled, context=contextvars.Context()))


class MCPWire(httpx2.AsyncBaseTransport):
    """The same for the HTTP client of the MCP SDK."""

    def __init__(self, apps: Mapping[str, ASGIApp], peer: Peer) -> None:
        self._apps, self._peer = apps, peer

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        app = self._apps.get(f"{request.url.scheme}://{request.url.netloc.decode()}")
        if app is None:
            raise httpx2.ConnectError("nobody listens there", request=request)
        handled = httpx2.ASGITransport(over_tls(app, self._peer), raise_app_exceptions=False).handle_async_request(
            request
        )
        return await asyncio.shield(asyncio.create_task(handled, context=contextvars.Context()))


class System:
    """Parties by name, all alive, with the records they wrote."""

    def __init__(
        self,
        folder: Path,
        registry: Registry,
        issuer: Issuer,
        kind: type[Service],
        clock: Callable[[], float],
    ) -> None:
        self.folder, self.registry, self.issuer, self._kind, self._clock = folder, registry, issuer, kind, clock
        self.apps: dict[str, ASGIApp] = {"https://issuer.test": issuer.app}
        self.addresses = {name: registry.address(name) for name in registry.services}
        approved = load_lock(ROOT / "registry.lock").parties
        self.known = RegistrySnapshot(registry=registry, addresses=self.addresses, approved=approved)
        self.revocations, self._policy = fresh_revocations(), policy_of(POLICY, registry)
        self.services: dict[str, Service] = {}

    def service(self, name: str) -> Service:
        """Compose one party as `zerotrust.service.run` does, over this system's wires."""
        peer = Peer(self.registry.id(name), FOREVER)
        wire, mcp_wire = Wire(self.apps, peer), MCPWire(self.apps, peer)
        self.services[name] = self._kind(
            name,
            known=self.known,
            revocations=self.revocations,
            policy=self._policy,
            issuer=ISSUER,
            data=self.folder / name.replace("/", "-"),
            workload=FakeWorkload(self.registry.id(name)),
            egress=EgressClients(
                self.known.called(), revocations=self.revocations, transport=wire, mcp_transport=mcp_wire
            ),
            identity_http=httpx.AsyncClient(transport=wire),
            clock=self._clock,
        )
        return self.services[name]

    def client(self, name: str, token: str | None = None, *, peer: Peer | None = None) -> httpx.AsyncClient:
        """A client of that party, with a token or without; in the hands of whom the token was issued to."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        wire = Wire(self.apps, peer or holder(token, at=name))
        return httpx.AsyncClient(transport=wire, base_url=self.addresses[name], headers=headers)

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
async def alive(app: ASGIApp) -> AsyncIterator[None]:
    """Run an app's lifespan as a server does: in one task, from start to end."""
    said: asyncio.Queue[Message] = asyncio.Queue()
    heard: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}

    async def live() -> None:
        await app(scope, said.get, heard.put)

    living = asyncio.create_task(live())
    await said.put({"type": "lifespan.startup"})
    started = await heard.get()
    assert started["type"] == "lifespan.startup.complete", started
    try:
        yield
    finally:
        await said.put({"type": "lifespan.shutdown"})
        await living


@asynccontextmanager
async def running(
    folder: Path,
    *names: str,
    issuer: Issuer | None = None,
    known: Registry | None = None,
    kind: type[Service] = Service,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[System]:
    """A system with these parties alive, or with all workloads of the registry; `kind` may watch what they do."""
    known = known or (issuer.registry if issuer else registry())
    system = System(folder, known, issuer or Issuer(known), kind, clock)
    async with AsyncExitStack() as stack:
        for name in names or known.services:
            create_app: Callable[[Service], ASGIApp] = import_module(_module(known, name)).create_app
            app = create_app(system.service(name))
            system.apps[system.addresses[name]] = app
            await stack.enter_async_context(alive(app))
        yield system


def _module(known: Registry, name: str) -> str:
    return known.parties[name].code[0].replace("/", ".") + ".main"
