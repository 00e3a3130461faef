"""Registry: publishes the parties, their approvals and all revocations, signed, in one feed.

It has six kinds of callers: parties, by certificate, follow the feed; attestation, by certificate, reports drift; the
policy authority, by certificate, brings the policies that it has signed; the audit authority, by certificate, has its
checkpoints cosigned; operators, with a user's token or their own; and the issuer, with logout tokens.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import ASGIApp

from authorities.registry.keycloak.admin import Administration
from authorities.registry.keycloak.backchannel_logout import PATH as LOGOUT_PATH
from authorities.registry.keycloak.backchannel_logout import Logouts
from authorities.registry.keycloak.events import Apply, Change
from authorities.registry.keycloak.poll import change_applier
from authorities.registry.nodes import node_of
from authorities.registry.notify import Notifier
from authorities.registry.operators import Parties
from authorities.registry.policies import PATH as POLICY_AT
from authorities.registry.publication import Published
from authorities.registry.reasons import RegistryReason
from authorities.registry.revocations import NOT_REVOKED, CauseText, OperatorRevocations, Revocation
from authorities.registry.state import State
from authorities.registry.stream import Stream
from authorities.registry.witness import PATH as WITNESS_PATH
from authorities.registry.witness import POLICY_PATH, Witness, add_witness_routes
from zerotrust.audit.event_parts import Caller, Peer
from zerotrust.audit.event_types import Action, RegistryChange
from zerotrust.audit.forms import sanitize
from zerotrust.authority.files.reading import RegistryError
from zerotrust.authority.ledger.cosignature import MAX_REQUEST
from zerotrust.context import REQUEST, current_peer, current_principal
from zerotrust.decision import Denied
from zerotrust.policy import PolicyError
from zerotrust.registry.feed import PATH
from zerotrust.registry.model import Authorities
from zerotrust.registry.policy_bundle import MAX_BUNDLE
from zerotrust.registry.snapshot import RegistrySnapshot
from zerotrust.routes import MAX_TEXT, MutualTLS, Public, Routes, Scope
from zerotrust.service import Service

ADMIN = Scope("registry.admin")
SUSPEND, REINSTATE, REVOKE = (
    Scope("registry.admin", f"registry.{operation}") for operation in ("suspend", "reinstate", "revoke")
)

log = logging.getLogger(__name__)


def _routes(authorities: Authorities) -> Routes:
    """Return the routes of the registry; each of the other authorities has a route of its own."""
    return {
        ("GET", "/health"): Public(),
        ("POST", LOGOUT_PATH): Public(),  # the logout token in the body is signed
        ("GET", PATH): MutualTLS(any_workload=True),
        ("POST", "/attestation"): MutualTLS({authorities.attestation}, routine=True, max_body=MAX_TEXT),
        ("POST", POLICY_AT): MutualTLS({authorities.policy}, routine=True, raw_body=True, max_body=MAX_BUNDLE),
        ("POST", WITNESS_PATH): MutualTLS({authorities.audit}, routine=True, raw_body=True, max_body=MAX_REQUEST),
        ("GET", POLICY_PATH): Public(),
        ("GET", "/parties"): ADMIN,
        ("GET", "/parties/{name:path}"): ADMIN,
        ("POST", "/parties/{name:path}/suspend"): SUSPEND,
        ("POST", "/parties/{name:path}/reinstate"): REINSTATE,
        ("POST", "/reload"): ADMIN,
        ("GET", "/revocations"): ADMIN,
        ("POST", "/revocations"): REVOKE,
        ("POST", "/reinstatements"): REINSTATE,
    }


MOST_PARTIES = 500
"""Parties that a report names; a machine runs a process for each."""


class Report(BaseModel):
    """All parties that run at a verifier's node, each with the files that differ from what was approved, or ""."""

    parties: dict[str, str] = Field(max_length=MOST_PARTIES)
    at: float
    """The time of the report, in seconds since the epoch: a delayed report must not count as fresh."""


class Cause(BaseModel):
    """The cause that an operator gives."""

    cause: CauseText


class Reinstatement(BaseModel):
    """The cause that an operator gives for reinstating a party, if any."""

    cause: CauseText | None = None


NO_CAUSE = Reinstatement()


Follow = Callable[[Apply, Callable[[float], None]], Coroutine[Any, Any, None]]
"""Follows the issuer's revocations: applies each change, and notes when each complete read began."""


def create_app(
    service: Service, realm: Administration, read: Callable[[], RegistrySnapshot], follow: Follow
) -> ASGIApp:
    """Return the registry's guarded app.  `read` reads its files again, and raises `RegistryError`."""
    kept = State(service.data / "revocations.db")
    stream = Stream(kept, revocations=service.revocations, identity=lambda: service.workload.svid)
    service.before_end = stream.close
    published = Published(service, stream, read)
    notifier = Notifier(realm, kept, own=service.registry.id(service.name))
    parties = Parties(stream, kept, realm, notifier, own=service.name)
    revocations = OperatorRevocations(stream, kept, realm, notifier)
    apply = change_applier(stream, lambda change: service.recorder.append(_of_keycloak(change)))
    logouts = Logouts(
        service.keys, issuer=service.issuer, clients=lambda: service.registry.initiating_clients, apply=apply
    )

    @asynccontextmanager
    async def working() -> AsyncIterator[None]:
        policy_authority = service.registry.id(service.registry.authorities.policy)
        await published.start(kept.revoked.get(("party", policy_authority)))
        note_read = partial(stream.note_read, "keycloak")
        work = [asyncio.create_task(one) for one in (stream.beat(), follow(apply, note_read))]
        yield
        for one in work:
            one.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await stream.wait_until_settled()

    app: FastAPI = service.app(kept.open(), notifier.running(), working())

    @app.get(PATH)
    async def feed() -> StreamingResponse:
        peer = current_peer()
        lines = stream.follow(str(peer.id), peer.until - 1)
        return StreamingResponse(lines, media_type="application/secevent+jwt")

    @app.post(LOGOUT_PATH)
    async def logout(request: Request) -> Response:
        no_store = {"cache-control": "no-store"}
        try:
            await logouts.receive(await request.body())
        except Denied as refusal:  # a public route: the gate counts the calls, and records none of them
            status = 503 if refusal.status == 503 else 400  # OIDC Back-Channel Logout section 2.8
            return JSONResponse({"error": refusal.error if status == 503 else "invalid_request"}, status, no_store)
        return Response(status_code=204, headers=no_store)

    @app.post("/attestation")
    async def attestation(report: Report) -> dict[str, Any]:
        made = await parties.take_report(node_of(current_peer(), service.registry), report.parties, report.at)
        for action, name, cause in made:
            await service.recorder.write(_change(action, name, cause))
            of_policies = (action, name) == ("drift", service.registry.authorities.policy)
            if of_policies and (why := published.lockout_advice(parties.cause(name))):
                log.error("%s", why)
        suspended = [name for action, name, _ in made if action == "drift"]
        return {"suspended": suspended, "read_from": service.snapshot.read_from}

    @app.post(POLICY_AT)
    async def policy(request: Request) -> Response:
        if news := await published.policy((await request.body()).decode("ascii", "replace")):
            await service.recorder.write(_change("activate", f"policy {news.version} {news.document.digest}"))
        return Response(status_code=204, headers={"cache-control": "no-store"})

    _add_operator_routes(app, service, parties, revocations)

    @app.post("/reload")
    async def reload() -> dict[str, list[str]]:
        try:
            changed = await published.registry()
        except (RegistryError, PolicyError) as error:
            why = "; ".join(str(error).splitlines())
            # Only operators get this answer, and they may see what is wrong with the files.
            raise Denied(RegistryReason.REGISTRY_UNFIT, why, advice=sanitize(why)) from error
        await service.recorder.write(_change("reload", "registry", ", ".join(changed)))
        return {"changed": changed}

    domain = service.registry.trust_domain
    witness = Witness(service.data, name=f"{domain}/registry", origin=f"{domain}/audit")
    add_witness_routes(app, witness)
    return service.guard(app, _routes(service.registry.authorities))


def _add_operator_routes(app: FastAPI, service: Service, parties: Parties, revocations: OperatorRevocations) -> None:
    @app.get("/parties")
    async def list_parties() -> dict[str, Any]:
        return {"parties": [parties.describe(name) for name in parties.names()]}

    @app.get("/parties/{name:path}")
    async def describe_party(name: str) -> dict[str, Any]:
        return parties.describe(name)

    @app.post("/parties/{name:path}/suspend")
    async def suspend(name: str, why: Cause) -> dict[str, Any]:
        keycloak = await parties.suspend(name, why.cause, current_principal().subject)
        await service.recorder.write(_change("suspend", name, why.cause))
        return {"party": parties.describe(name), "keycloak": keycloak}

    @app.post("/parties/{name:path}/reinstate")
    async def reinstate(name: str, why: Reinstatement = NO_CAUSE) -> dict[str, Any]:
        keycloak, without = await parties.reinstate(name)
        await service.recorder.write(_change("reinstate", name, "; ".join(filter(None, (why.cause, without)))))
        return {"party": parties.describe(name), "keycloak": keycloak}

    @app.get("/revocations")
    async def revoked_now() -> dict[str, Any]:
        return revocations.latest()

    @app.post("/revocations")
    async def revoke(revocation: Revocation) -> dict[str, str]:
        keycloak = await revocations.revoke(revocation, current_principal().subject)
        await service.recorder.write(_change("revoke", f"{revocation.kind} {revocation.name}", revocation.cause))
        return {"keycloak": keycloak}

    @app.post("/reinstatements")
    async def reinstate_user(revocation: Revocation) -> dict[str, str]:
        keycloak = await revocations.reinstate(revocation)
        if keycloak != NOT_REVOKED:
            cause = revocation.cause if "cause" in revocation.model_fields_set else ""  # the default is for revoking
            await service.recorder.write(_change("reinstate", f"{revocation.kind} {revocation.name}", cause))
        return {"keycloak": keycloak}


def _of_keycloak(change: Change) -> RegistryChange:
    """Return the event for a change that Keycloak made; its cause names Keycloak."""
    action: Action = "revoke" if change.cause else "reinstate"
    target, cause = sanitize(" ".join(change.subject)), sanitize(change.cause) if change.cause else None
    return RegistryChange(action=action, target=target, cause=cause)


def _change(action: Action, target: str, cause: str = "") -> RegistryChange:
    """Return the event for a change by the current caller, an operator or attestation."""
    operator, peer = REQUEST.get().principal, current_peer().id
    return RegistryChange(
        action=action,
        target=sanitize(target),
        cause=sanitize(cause) if cause else None,
        peer=Peer(id=peer) if peer else None,
        principal=Caller.of(operator) if operator else None,
    )
