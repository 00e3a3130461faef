"""Registry: who exists, as what each was approved, and who has lost their standing.  Signed, and told to everybody.

Three doors: parties follow the stream, by their certificate; attestation reports what has drifted, by its own;
operators come with a token of theirs, and without a certificate.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp

from authorities.registry.operators import Clients, Parties
from authorities.registry.state import State
from authorities.registry.stream import Stream
from zerotrust.errors import Refusal
from zerotrust.gate import PUBLIC, Peers, current_peer, current_principal
from zerotrust.known import Known
from zerotrust.mcp import ToolPermissions
from zerotrust.policy import Policy, PolicyError, Reason
from zerotrust.registry import RegistryError
from zerotrust.service import Service
from zerotrust.signals import PATH

ADMIN = "registry.admin"


class Drift(BaseModel):
    """Everything that is not as it was approved, now: a file for each party."""

    drifted: dict[str, str]


class Cause(BaseModel):
    """Why an operator does something."""

    cause: Annotated[str, Field(min_length=1, max_length=200)]


def permissions(known: Known) -> dict[tuple[str, str], str | ToolPermissions | Peers]:
    """A route for each party: one that does not exist has none, and is refused."""
    table: dict[tuple[str, str], str | ToolPermissions | Peers] = {
        ("GET", "/health"): PUBLIC,
        ("GET", PATH): Peers(),
        ("POST", "/attestation"): Peers(frozenset({"authority/attestation"})),
        ("GET", "/parties"): ADMIN,
        ("POST", "/reload"): ADMIN,
    }
    for name in known.registry.parties:
        table["GET", f"/parties/{name}"] = ADMIN
        table["POST", f"/parties/{name}/suspend"] = table["POST", f"/parties/{name}/reinstate"] = ADMIN
    return table


def create_app(service: Service, clients: Clients, read: Callable[[], tuple[Known, Policy]]) -> ASGIApp:
    """The registry, guarded.  `read` reads its files anew, and raises `RegistryError` or `PolicyError`."""
    kept = State(service.data / "standing.db")
    stream = Stream(service.known, kept, standing=service.standing, identity=lambda: service.workload.svid)
    parties, routes = Parties(stream, kept, clients), permissions(service.known)

    @asynccontextmanager
    async def beating() -> AsyncIterator[None]:
        beat = asyncio.create_task(stream.beat())
        yield
        beat.cancel()

    app: FastAPI = service.app(kept.opened(), beating())

    @app.get(PATH)
    async def signals() -> StreamingResponse:
        return StreamingResponse(stream.follow(current_peer().until - 1), media_type="application/secevent+jwt")

    @app.post("/attestation")
    async def attestation(drift: Drift) -> dict[str, Any]:
        suspended = await parties.attested(drift.drifted)
        for name in suspended:
            await service.record(_record("drift", name, drift.drifted[name]))
        return {"suspended": suspended, "read_from": service.known.read_from}

    @app.get("/parties")
    async def all_of_them() -> dict[str, Any]:
        return {"parties": [parties.describe(name) for name in service.registry.parties]}

    @app.get("/parties/{name:path}")
    async def one(name: str) -> dict[str, Any]:
        return parties.describe(name)

    @app.post("/parties/{name:path}/suspend")
    async def suspend(name: str, why: Cause) -> dict[str, Any]:
        told = await parties.suspend(name, f"{why.cause} (operator {current_principal().subject})")
        await service.record(_record("suspended", name, why.cause))
        return {"party": parties.describe(name), "keycloak": told}

    @app.post("/parties/{name:path}/reinstate")
    async def reinstate(name: str) -> dict[str, Any]:
        told = await parties.reinstate(name)
        await service.record(_record("reinstated", name, ""))
        return {"party": parties.describe(name), "keycloak": told}

    @app.post("/reload")
    async def reload() -> dict[str, list[str]]:
        before = service.known
        try:
            known, policy = read()
        except (RegistryError, PolicyError) as error:
            raise Refusal(Reason.REGISTRY_UNFIT, str(error)) from error
        service.adopt(known, policy)
        routes.clear()
        routes.update(permissions(known))
        stream.publish(known)
        changed = changes(before, known)
        await service.record(_record("reload", "registry", ", ".join(changed)))
        return {"changed": changed}

    return service.guard(app, routes)


def changes(before: Known, after: Known) -> list[str]:
    """The parties whose entry, address or approval differs."""
    names = before.registry.parties.keys() | after.registry.parties.keys()

    def entry(known: Known, name: str) -> tuple[object, ...]:
        return known.registry.parties.get(name), known.addresses.get(name), known.approved.get(name)

    return sorted(name for name in names if entry(before, name) != entry(after, name))


def _record(event: str, name: str, why: str) -> dict[str, Any]:
    return {"event": event, "operation": name, "allowed": True, "reason": Reason.GRANTED, "detail": why}
