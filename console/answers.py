"""The answer of a task with all that it takes to verify it, as it came: for the session that started the task alone.

Nothing is verified here.  `static/verify.js` does that in the browser, from these bytes.
"""

import base64
from typing import Any

import httpx
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi import FastAPI, Response
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from console.pages import page
from console.run import Runs, calling_as
from console.sessions import Session
from console.sign_in import Issuer, Signed
from zerotrust.audit.log_client import NotDelivered, fetch_policy
from zerotrust.decision import Denied, Reason
from zerotrust.receipts.carried import parse_answer
from zerotrust.receipts.receipt import digest_of
from zerotrust.service import Service


def add_answer_routes(app: FastAPI, service: Service, issuer: Issuer, runs: Runs) -> None:
    """Add `/tasks/{id}/answer`, and its files."""

    @app.get("/tasks/{id}/answer")
    async def show(session: Signed, id: str) -> Response:
        if not (run := runs.find(session, id)) or not run.answer:
            return page(session, "answer", 404, id=id, here=False)
        return page(session, "answer", id=id, here=True, transaction=run.transaction)

    @app.get("/tasks/{id}/answer/files")
    async def files(session: Signed, id: str) -> Response:
        if not (run := runs.find(session, id)) or not run.answer:
            raise HTTPException(404)
        registry = service.registry
        try:
            policy = await fetch_policy(service.egress.authorities, registry.address(registry.authorities.registry))
        except (NotDelivered, ValueError) as error:
            raise Denied(Reason.PEER_UNAVAILABLE, str(error)) from error
        return JSONResponse(
            {
                "request": base64.b64encode(run.request).decode(),
                "answer": base64.b64encode(run.answer).decode(),
                "transaction": run.transaction,
                "proof": await proof_of(session, run.answer),
                "authorities": "".join(one.public_bytes(Encoding.PEM).decode() for one in service.workload.svid.bundle),
                "policy": policy,
                "accepted": accepted(service),
            }
        )

    async def proof_of(session: Session, answer: bytes) -> str | None:
        """Return the proof of the answer's first receipt; None if there is none, or none yet."""
        carried = parse_answer(answer)
        if not carried or not carried.receipts:
            return None
        try:
            with calling_as(session.principal):
                url = f"{service.addresses[issuer.front]}/receipts/{digest_of(carried.receipts[0])}"
                found = await service.egress.http.get(url)
        except (httpx.HTTPError, Denied):
            return None
        return found.text if found.status_code == 200 else None


def accepted(service: Service) -> dict[str, Any]:
    """Return whom the registry approves, in the form in which `verify.js` takes it."""
    registry = service.registry
    calls = {registry.id(name): party.may_call for name, party in registry.parties.items() if party.starts_chains}
    parties = {
        registry.id(name): {
            "code": [approved.code],
            "permissions": sorted(registry.scopes_at(name)),
            "clients": [client for client, called in calls.items() if name in called],
        }
        for name, approved in service.snapshot.approved.items()
        if approved.code
    }
    return {"parties": parties, "outside": sorted(registry.outside)}
