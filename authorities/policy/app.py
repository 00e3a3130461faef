"""The policy authority: keeps the versions of the policies, and publishes the version in force, signed.

Services decide by what it has signed, each in its own process; others can ask it by the AuthZEN API.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from authorities.policy.activation import PolicyActivation
from authorities.policy.authzen_routes import ROUTES as OF_AUTHZEN
from authorities.policy.authzen_routes import add_authzen_routes
from authorities.policy.inquiries import Inquiries
from authorities.policy.operators import ROUTES as OF_OPERATORS
from authorities.policy.operators import add_operator_routes, changes
from authorities.policy.pdp import PointInForce
from authorities.policy.publisher import Publisher
from authorities.policy.versions import Version, Versions
from zerotrust.decision import Denied
from zerotrust.routes import Public, Routes
from zerotrust.service import Service
from zerotrust.spiffe.svid import Svid

STATED_EVERY = 1_000
"""Records after which the journal states again which version is in force: its oldest segments, of at least 250 records
each, are deleted, but never the last five."""
ROUTES: Routes = {("GET", "/health"): Public(), **OF_OPERATORS, **OF_AUTHZEN}


def create_app(service: Service, versions: Versions, on_renewal: Callable[[Callable[[Svid], None]], None]) -> ASGIApp:
    """Return the policy authority, guarded.  `on_renewal` registers a function that gets each new SVID."""
    registry = service.registry
    stated = -STATED_EVERY

    async def on_record() -> Version:
        """Return the version in force.  State it again and again: a start reads that in the rest of the journal."""
        nonlocal stated
        if service.journal.link.records - stated >= STATED_EVERY:
            with suppress(Denied):  # without a journal, nothing is decided
                await office.state()
                stated = service.journal.link.records
        return versions.active

    async def record(version: Version, differing: Mapping[str, Any] | None) -> None:
        for one in changes(version, differing):
            await service.recorder.write(one)

    publisher = Publisher(
        registry.address(registry.authorities.registry),
        http=service.egress.authorities,
        identity=lambda: service.workload.svid,
        active=on_record,
        clock=service.clock,
    )
    on_renewal(publisher.renew)
    office = PolicyActivation(versions, publisher.publish, lambda: service.registry, record)

    @asynccontextmanager
    async def publishing() -> AsyncIterator[None]:
        work = asyncio.create_task(publisher.run())
        try:
            yield
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work
            await office.wait_until_done()

    app: FastAPI = service.app(publishing())
    add_operator_routes(app, office, Inquiries(versions, lambda: service.registry))
    in_force = PointInForce(lambda: versions.active, lambda: service.registry)
    add_authzen_routes(app, in_force, registry.address(service.name))
    return service.guard(app, ROUTES)
