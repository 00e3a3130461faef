"""One party: its dependencies, the gate around its app, and the operations of its handlers; `runtime.py` makes it."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Hashable, Iterable, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

import httpx
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.types import ASGIApp

from zerotrust.app import app_with
from zerotrust.audit.deletion import Deletion
from zerotrust.audit.delivery import Delivery
from zerotrust.audit.event_parts import Decided, Effect
from zerotrust.audit.event_types import Refusal, UntrustedPeer
from zerotrust.audit.journal import Journal
from zerotrust.audit.log_client import Ledger, fetch_policy
from zerotrust.audit.recorder import Recorder
from zerotrust.context import current_principal
from zerotrust.decider import Decider
from zerotrust.decision import Decision, Denied, PolicyEngine, Reason, Resource, Rule
from zerotrust.dialect import Dialect
from zerotrust.gate import Gate
from zerotrust.issuer.client import Assertions, IssuerClient
from zerotrust.issuer.discovery import Discovery
from zerotrust.issuer.exchange import MARGIN, ExchangedToken, Exchanger, TokenRequest
from zerotrust.issuer.introspection import Introspector
from zerotrust.issuer.jwks import SigningKeys
from zerotrust.limits.bounded import Bounded
from zerotrust.receipts.calls import Calls, current_calls
from zerotrust.registry.model import Registry
from zerotrust.registry.snapshot import RegistrySnapshot
from zerotrust.revocation import Revocations
from zerotrust.routes import Routes
from zerotrust.routing import RouteTable
from zerotrust.sealing import Notary
from zerotrust.shielded import shielded
from zerotrust.spiffe.svid import Svid
from zerotrust.token_validation import Expected
from zerotrust.transport.egress import EgressClients

T = TypeVar("T")

JOURNAL = "journal.jsonl"
"""The file of a party's journal, in its folder."""
CHECKED = 1_000
"""Checks of other parties that are remembered: one for each agent, card and trust bundle."""


class Identity(Assertions, Protocol):
    """The identity of this process, and the means to prove it."""

    @property
    def svid(self) -> Svid:
        """The current X.509-SVID."""


class Service:
    """One party: its identity, its dependencies, and the operations of its handlers."""

    def __init__(  # noqa: PLR0913 - its dependencies, each by name
        self,
        name: str,
        *,
        snapshot: RegistrySnapshot,
        policy: PolicyEngine,
        revocations: Revocations,
        issuer: str,
        data: Path,
        workload: Identity,
        egress: EgressClients,
        identity_http: httpx.AsyncClient,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name, self.issuer, self.data, self.egress = name, issuer, data, egress
        self.revocations, self.workload, self.snapshot = revocations, workload, snapshot
        self.clock, self._identity_http = clock, identity_http
        self._external_engine: PolicyEngine | None = None
        self._id = self.registry.id(name)
        self._gates: list[Gate] = []
        self._delivery: Delivery | None = None
        self.before_end: Callable[[], Awaitable[None]] | None = None
        """The server awaits it when it is asked to end, while it still answers all callers."""
        self.checked: MutableMapping[Hashable, float] = Bounded(CHECKED)
        """Until when each check of another party is valid, in seconds since the epoch."""
        self.journal = Journal(data / JOURNAL)
        self.recorder = Recorder(self.journal, self._id, clock=clock)
        self.recorder.measurement = self._measurement
        self._decider = Decider(policy, revocations, self.recorder)
        realm = Discovery(issuer, http=identity_http)
        self.keys = SigningKeys(realm, http=identity_http, freshness=self.registry.freshness, clock=time.monotonic)
        self.at_issuer = IssuerClient(realm, workload, identity_http)
        self._exchanger = Exchanger(
            issuer=self.at_issuer,
            chain_claim=self.registry.chain_claim,
            revocations=revocations,
            record=self.recorder.write,
            clock=clock,
        )
        self._introspect = Introspector(self.at_issuer, self.registry.high_risk)

    @property
    def registry(self) -> Registry:
        """The parties, and what each of them may do."""
        return self.snapshot.registry

    @property
    def addresses(self) -> Mapping[str, str]:
        """The address of each party that can be called, by name."""
        return self.snapshot.addresses

    @property
    def outside(self) -> Mapping[str, str]:
        """The origin of each outside server that this party reaches now, by name.

        Call a server by `egress.http` if it takes tokens, and otherwise by `egress.without_token`.
        """
        return {name: server.origin for name, server in self.snapshot.outside_of(self.name).items()}

    @property
    def rules(self) -> tuple[str, Mapping[str, Rule]]:
        """The version of the policies that decide here, and its rules by their ids; none of an engine elsewhere."""
        engine = self._decider.policy
        return engine.version, getattr(engine, "rules", {})

    @property
    def _measurement(self) -> str | None:
        """The approved digest over the code of this party.  Attestation issues an SVID for this code only."""
        approved = self.snapshot.approved.get(self.name)
        return approved.code if approved else None

    @property
    def for_users(self) -> bool:
        """Whether clients without a certificate, such as those of people, call this party."""
        expected = self._expectations()
        return bool(expected.without_certificate) or expected.browsers

    def use(self, snapshot: RegistrySnapshot, policy: PolicyEngine) -> None:
        """Switch to another registry snapshot and policy engine, from the next request on."""
        policy = self._external_engine or policy
        self.snapshot, self._introspect.high_risk = snapshot, snapshot.registry.high_risk
        self._decider.policy = policy
        self.egress.use(snapshot, self.name)
        self.recorder.measurement = self._measurement
        for gate in self._gates:
            gate.use(expected=self._expectations(), policy=policy)

    def decide_by(self, engine: PolicyEngine) -> None:
        """Let this engine decide from now on, such as `AuthZEN`, instead of the policies that the registry sends."""
        self._external_engine = engine
        self.use(self.snapshot, engine)

    def guard(
        self,
        app: Starlette,
        routes: Routes,
        *,
        metadata_path: str | None = None,
        dialects: Mapping[str, Dialect] | None = None,
    ) -> ASGIApp:
        """Put the gate around the whole app, whose routes are those in `routes`.  From then on it takes no others.

        `metadata_path`: the path of the resource metadata (RFC 9728), if it is published.  `dialects`: the error format
        of each path whose protocol defines its own, as for `Gate`.  Raises `ValueError` if the app has other routes.
        """
        gate = Gate(
            app=app,
            routes=RouteTable(routes, app),
            expected=self._expectations(),
            keys=self.keys,
            policy=self._decider.policy,
            revocations=self.revocations,
            confirm=self._introspect,
            recorder=self.recorder,
            address=self.addresses.get(self.name, self.registry.address(self.name)),  # no snapshot has an authority
            clock=self.clock,
            metadata_url=self.addresses[self.name] + metadata_path if metadata_path else None,
            dialects=dialects or {},
            notary=Notary(lambda: self.workload.svid, self.clock),
        )
        self._gates.append(gate)
        return gate

    def app_from(self, create_app: Callable[["Service"], ASGIApp]) -> ASGIApp:
        """Return what `create_app` returns.  Raises `TypeError` unless `guard` made it."""
        app = create_app(self)
        if app not in self._gates:  # control: gate-served
            raise TypeError("create_app has to return what service.guard returns: the app itself lets everybody in")
        return app

    def delivery(self, ledger: Ledger) -> Delivery:
        """Return the delivery of this party's journal to the audit log; it also delivers the rest when the app ends."""
        registry, path = self.registry, self.data / JOURNAL
        published = partial(fetch_policy, self.egress.authorities, registry.address(registry.authorities.registry))
        self._delivery = Delivery(self.journal, path, ledger, Deletion(path, ledger, published))
        return self._delivery

    async def _hand_over(self) -> None:
        """Deliver the last records: nothing writes any more, and the other parties still run."""
        if self._delivery:
            await self._delivery.finish()

    def _expectations(self) -> Expected:
        return expectations_of(self.name, self.registry, self.issuer)

    def department(self, named: str | None = None) -> str:
        """Return the one department of the current caller's task: the one it names, or the user's only one.

        Raises `Denied`: `department_needed` if the user belongs to several, which the answer lists, and names none;
        `would_widen` if the user does not belong to the one that is named.
        """
        own = current_principal().groups.intersection(self.registry.departments)
        if named is None and len(own) != 1:  # control: department-named
            choices = sorted(own)
            listed = ", ".join(choices)
            advice = f"Name one of your departments in the field department: {listed}." if own else None
            raise Denied(Reason.DEPARTMENT_NEEDED, listed, advice=advice, more={"departments": choices})
        if named is not None and named not in own:
            raise Denied(Reason.WOULD_WIDEN, named)
        return named or next(iter(own))

    async def exchange(
        self,
        audience: str,
        *scopes: str,
        department: str | None = None,
        lifetime: int | None = None,
        lasting: float = MARGIN,
    ) -> ExchangedToken:
        """Exchange the current caller's token for one for `audience` (a name), with these scopes only (RFC 8693).

        `department`: the one group of the user that the new token names.  `lifetime`: seconds, if shorter than usual.
        `lasting`: seconds that a cached token must have left to be used again, unless it ends with the caller's.
        Raises `Denied`.
        """
        caller = current_principal()
        if audience not in {*self.registry.parties, *self.outside}:
            known = audience in self.registry.outside
            await self.distrust(audience, "not reached from here" if known else "not registered")
        wanted = TokenRequest(self.registry.id(audience), frozenset(scopes), department, lifetime)

        @shielded
        async def exchange_and_note(calls: Calls) -> ExchangedToken | Denied:
            try:
                token = await self._exchanger.exchange(caller, wanted, lasting=lasting)
            except Denied as refusal:
                calls.note_exchange(wanted.audience, reason=str(refusal.reason))
                return refusal  # not raised: the caller may have left
            calls.note_exchange(wanted.audience, token.token_id)
            return token

        if isinstance(token := await exchange_and_note(current_calls() or Calls()), Denied):
            raise token
        return token

    async def distrust(self, name: str, why: str) -> NoReturn:
        """Record why a party is not trusted, and raise `Denied` instead of calling it."""
        decision = Decision(allowed=False, reason=Reason.PEER_UNTRUSTED, detail=why)
        await self.recorder.write(UntrustedPeer(party=name, decision=Decided.of(decision)))
        raise Denied(decision.reason, f"{name}: {why}")

    def decide(
        self, action: str, resource: Resource, *, otherwise: Exception | None = None, effect: Effect | None = None
    ) -> Coroutine[Any, Any, None]:
        """Decide about one resource, and, when awaited, record that the caller may have it before the handler acts.

        If the caller may not, raises `Denied` or `otherwise`, and records that before the answer.  It raises at once,
        so that a forgotten `await` admits no caller.  With an engine in another process it raises when awaited, and
        after a forgotten `await` the gate answers with a failure.  When awaited, raises `Denied` if the record cannot
        be written.  `effect`: what the act changes; if it fails afterwards, tell `not_done`.
        """
        return self._decider.decide(current_principal(), action, resource, otherwise, effect)

    def not_done(self, why: str) -> None:
        """Record that a permitted act has changed nothing; the answer waits for the record."""
        decision = Decision(allowed=False, reason=Reason.APPLICATION_ERROR, detail=why)
        self.recorder.write_before_answer(Refusal(decision=Decided.of(decision)))

    async def permitted(
        self, action: str, things: Iterable[T], as_resource: Callable[[T], Resource], *, scope: str = ""
    ) -> list[T]:
        """Return the things on which the caller may do this action, to filter a list; nothing is recorded.

        `scope`: decide as if the caller's token had it as well.  Raises `Denied` if that cannot be decided now.
        """
        things, caller = [*things], current_principal()
        if scope:
            caller = replace(caller, scopes=caller.scopes | {scope})
        decisions = await self._decider.decide_each(caller, [(action, as_resource(thing)) for thing in things])
        return [thing for thing, decision in zip(things, decisions, strict=True) if decision]

    async def usable(self, permissions: Iterable[str]) -> frozenset[str]:
        """Return which of these permissions the caller may use here, to filter a list; nothing is recorded.

        Raises `Denied` if that cannot be decided now.
        """
        asked = sorted({*permissions})
        decisions = await self._decider.decide_each(
            current_principal(), [(permission, self._id) for permission in asked]
        )
        return frozenset(permission for permission, decision in zip(asked, decisions, strict=True) if decision)

    def app(self, *resources: AbstractAsyncContextManager[Any]) -> FastAPI:
        """Return an app that serves `/health`; `resources` are opened at its start and closed in reverse at its end."""

        @asynccontextmanager
        async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
            async with AsyncExitStack() as stack:
                stack.callback(self.recorder.close)
                stack.push_async_callback(self._identity_http.aclose)
                stack.push_async_callback(self.egress.close)
                stack.push_async_callback(self._hand_over)
                for resource in resources:
                    await stack.enter_async_context(resource)
                yield

        return app_with(lifespan, self.recorder)


def expectations_of(name: str, registry: Registry, issuer: str) -> Expected:
    """Return what this party expects of its callers, by the registry; `issuer`: the issuer of all tokens."""
    parties = registry.parties
    callers = {registry.id(caller) for caller, party in parties.items() if name in party.may_call}
    operating = registry.operating & callers  # control: operates-at-its-authorities
    return Expected(
        issuer=issuer,
        audience=registry.id(name),
        chain_claim=registry.chain_claim,
        max_ttls={registry.id(holder): party.max_ttl for holder, party in parties.items() if party.max_ttl},
        initiating_clients=registry.initiating_clients & callers,
        operating=operating,
        without_certificate=registry.without_certificate & callers,
        peers={registry.id(peer): peer for peer in parties if peer not in registry.without_certificate},
        browsers=bool(registry.browser_hosts(name)),
    )
