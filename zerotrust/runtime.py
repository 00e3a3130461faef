"""Starts a party from its settings: identity first, then the registry feed, then the app behind mutual TLS."""

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable

import httpx
import uvloop
from starlette.types import ASGIApp

from zerotrust.audit.log_client import RemoteLedger
from zerotrust.checks import STEPS, names_of
from zerotrust.clock import NonDecreasingClock
from zerotrust.decision import PolicyEngine
from zerotrust.hardening.pools import Connections, Context, MCPConnections, origin
from zerotrust.hardening.server import server
from zerotrust.policy import CedarPolicy
from zerotrust.policy_in_force import NoPolicy, PolicyInForce
from zerotrust.registry.feed import RegistryFeed
from zerotrust.registry.model import Registry
from zerotrust.registry.policy_bundle import Bundle, party_entities
from zerotrust.registry.snapshot import Directory, PolicyDocument, RegistrySnapshot, bootstrap_directory
from zerotrust.revocation import Revocations
from zerotrust.service import Service
from zerotrust.settings import Settings
from zerotrust.spiffe.svid import WorkloadError
from zerotrust.spiffe.tls import client_context, issuer_context, server_context, use_svid
from zerotrust.spiffe.workload import Workload
from zerotrust.transport.egress import EgressClients
from zerotrust.transport.logs import log_json_lines

log = logging.getLogger(__name__)

LOOK = 0.1
"""Seconds between two looks whether a service that starts knows the revocations."""
COLLECTED_AFTER = 20_000, 20, 50
"""Objects made and kept before the collector scans the youngest, and such scans before it scans the older objects."""


def run(name: str, create_app: Callable[[Service], ASGIApp]) -> None:
    """Serve one party until it is stopped.  The one place where a service reads its environment.

    `create_app` returns what `Service.guard` returned.
    """
    handle_sigterm()
    log_json_lines()
    settings = Settings()

    async def live() -> None:
        workload = Workload()
        async with workload.running():
            feed = registry_feed(settings, workload)
            async with feed.running():
                policy = engine_for(feed.policies, feed.snapshot, feed)
                service = compose(name, feed.snapshot, policy, settings, workload, feed.revocations)
                feed.on_change(lambda snapshot, policy: service.use(snapshot, engine_for(policy, snapshot, feed)))
                await serve(service, service.app_from(create_app), workload, settings)

    uvloop.run(live())


def handle_sigterm() -> None:
    """End at SIGTERM, also as the first process of a container, for which the kernel has no default action."""
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())


def compose(  # noqa: PLR0913, PLR0917 - its dependencies
    name: str,
    snapshot: RegistrySnapshot,
    policy: PolicyEngine,
    settings: Settings,
    workload: Workload,
    revocations: Revocations,
    kind: type[Service] = Service,
) -> Service:
    """Return a party, composed from the registry's snapshot and the party's settings."""
    directory = snapshot.directory(name)
    svid, registry = workload.svid, snapshot.registry.id(snapshot.registry.authorities.registry)

    def suspended(party: str) -> bool:
        """Return whether a party is suspended; the registry never is, as it reinstates (docs/explain/limits.md)."""
        return party != registry and revocations.is_suspended(party)

    calls = Connections(directory, svid, suspended=suspended)
    mcp_calls = MCPConnections(directory, svid, suspended=suspended)
    to_authorities = Connections(snapshot.authorities(), svid, suspended=suspended)
    for connections in (calls, mcp_calls, to_authorities):
        workload.on_renewal(connections.renew)
    return kind(
        name,
        snapshot=snapshot,
        policy=policy,
        revocations=revocations,
        issuer=settings.issuer,
        data=settings.data,
        workload=workload,
        egress=EgressClients(
            snapshot.callees(),
            revocations=revocations,
            transport=calls,
            mcp_transport=mcp_calls,
            to_authorities=to_authorities,
        ),
        identity_http=issuer_client(settings, workload),
    )


def policy_of(document: PolicyDocument, registry: Registry, memory: int = CedarPolicy.MEMORY) -> CedarPolicy:
    """Return the policy engine for a registry's parties, which caches `memory` decisions.

    Raises `PolicyError` if the policies are invalid.
    """
    entities, departments = party_entities(registry), registry.departments
    return CedarPolicy(
        policies=document.policies,
        schema=document.cedar_schema,
        entities=entities,
        departments=departments,
        memory=memory,
    )


def engine_for(bundle: Bundle | None, snapshot: RegistrySnapshot, feed: RegistryFeed) -> PolicyInForce | NoPolicy:
    """Return the engine for a version of the policies, for as long as the feed says that it lives.

    Without a version, the engine allows nothing.  Raises `PolicyError` if they do not fit the registry.
    """
    if bundle is None:
        return NoPolicy()
    engine = policy_of(bundle.document, snapshot.registry)
    return PolicyInForce(engine, bundle.name, until=lambda: feed.policy.until, clock=NonDecreasingClock(time.time))


def registry_feed(settings: Settings, workload: Workload, own: Callable[[], Bundle] | None = None) -> RegistryFeed:
    """Return the registry's feed, as this workload follows it; `own`: the policy authority's own policies."""
    address, party = str(settings.registry).rstrip("/"), settings.registry_party
    directory = bootstrap_directory(address, party, workload.svid.trust_domain)
    http = client(directory, workload, client_context, seconds=None)
    revocations = Revocations(clock=time.monotonic)
    return RegistryFeed(address, party, http=http, identity=lambda: workload.svid, revocations=revocations, own=own)


def issuer_client(settings: Settings, workload: Workload) -> httpx.AsyncClient:
    """Return a client of the issuer."""
    url, at = httpx.URL(settings.issuer), settings.issuer_at
    places = {url.host: (str(at.host), at.port or 443)} if at else {}
    return client(Directory({origin(url): url.host}, {}, places), workload, issuer_context, seconds=10)


def client(directory: Directory, workload: Workload, context: Context, *, seconds: float | None) -> httpx.AsyncClient:
    """Return a client that connects to these parties only, with this workload's SVID."""
    connections = Connections(directory, workload.svid, context)
    workload.on_renewal(connections.renew)
    return httpx.AsyncClient(transport=connections, timeout=seconds)


async def serve(service: Service, app: ASGIApp, workload: Workload, settings: Settings) -> None:
    """Serve a party's app at the address in its settings, with its SVID.

    A service listens once it knows the revocations: before that it refuses every call.  An authority listens at once.
    A caller has to show an SVID, too, unless the party is also for users.
    Raises `WorkloadError` if this process was launched as another party.
    """
    if workload.svid.id != service.registry.id(service.name):
        raise WorkloadError(f"launched as {workload.svid.id}, and started as {service.name}")
    log.info("Rung 3, everything.  Steps: %s.", names_of(STEPS))
    context = server_context(workload.svid, certificate_needed=not service.for_users)
    workload.on_renewal(lambda svid: use_svid(context, svid))
    freeze_loaded()
    delivering = asyncio.create_task(_deliver(service))
    try:
        while service.name in service.registry.services and not service.revocations.fresh:  # noqa: ASYNC110 - by a clock
            await asyncio.sleep(LOOK)
        host, port, before_end = settings.host, settings.port, service.before_end
        await server(app, host=host, port=port, tls=context, before_end=before_end).serve()
    finally:
        delivering.cancel()


async def _deliver(service: Service) -> None:
    """Deliver a party's journal to the audit log; the audit authority takes its own without a call."""
    name = service.registry.authorities.audit
    if service.name != name:
        ledger = RemoteLedger(service.egress.authorities, service.registry.address(name))
        await service.delivery(ledger).run()


def freeze_loaded() -> None:
    """Let the garbage collector scan only objects that are made from now on, and less often.

    A service keeps what it loads at its start; each scan of that is a pause of some milliseconds.  Reference counts
    free nearly all that a request makes; the collector is for cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)
