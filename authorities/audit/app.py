"""The audit authority's API: parties deliver their journals, and read the log and its proofs; all by certificate."""

import asyncio
import math
import re
from typing import Annotated

from fastapi import FastAPI, Path, Query, Request, Response
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

from authorities.audit.ledger import Ledger
from authorities.audit.reasons import AuditReason
from authorities.audit.terms import receipt_term
from zerotrust.audit.event_parts import Decided
from zerotrust.audit.event_types import Refusal
from zerotrust.audit.log_client import PATH
from zerotrust.audit.record import Link
from zerotrust.audit.tail import MOST_BYTES
from zerotrust.context import current_peer
from zerotrust.decision import Decision, Denied, ReasonCode
from zerotrust.routes import MutualTLS, Public, Routes
from zerotrust.service import Service
from zerotrust.tlog.tree import InvalidLog
from zerotrust.transport.responses import DeniedResponse

ROUTES: Routes = {
    ("GET", "/health"): Public(),
    ("GET", PATH): MutualTLS(any_workload=True, routine=True),
    ("POST", PATH): MutualTLS(any_workload=True, routine=True, raw_body=True, max_body=MOST_BYTES),
    ("GET", f"{PATH}/{{number}}"): MutualTLS(any_workload=True),
    ("GET", "/log/{path:path}"): MutualTLS(any_workload=True, routine=True),
    ("GET", "/proofs/{sha256}"): MutualTLS(any_workload=True),
}
ALARM_EVERY = 60
"""Seconds between two records that a party has sent a changed journal, or another's, or more than its share: it may do
each for ever."""
_ALARMING = {AuditReason.JOURNAL_CHANGED, AuditReason.JOURNAL_OF_ANOTHER, AuditReason.JOURNAL_TOO_FAST}

_OF_THE_LOG = re.compile(r"checkpoint|tile/(entries|[0-7])(/x[0-9]{3}){0,5}/[0-9]{3}(\.p/[1-9][0-9]{0,2})?")
"""The paths of c2sp.org/tlog-tiles; nothing else in the folder is for others."""
Number = Annotated[int, Path(ge=1, lt=1 << 53)]
"""The number of a record in its journal."""
Size = Annotated[int, Query(ge=0, lt=1 << 53)]
"""The size of the log at an earlier time."""
_NO_STORE = {"cache-control": "no-store"}


def create_app(service: Service) -> ASGIApp:
    """Return the audit authority, guarded."""
    ledger, recorded = Ledger(service), dict[tuple[str, ReasonCode], float]()  # a few for each party of the registry
    app: FastAPI = service.app(ledger.running())

    async def refuse(refusal: Denied) -> Response:
        """Answer with a refusal, and record those that a correct party never causes."""
        caller, now = str(current_peer().id), service.clock()
        before = recorded.get((caller, refusal.reason), -math.inf)
        if refusal.reason in _ALARMING and abs(now - before) >= ALARM_EVERY:  # control: alarms-bounded
            recorded[caller, refusal.reason] = now
            decision = Decision(allowed=False, reason=refusal.reason, detail=f"{caller}: {refusal.detail}")
            await service.recorder.write(Refusal(decision=Decided.of(decision)))
        return DeniedResponse(refusal)

    @app.get(PATH)
    async def position() -> Response:
        try:
            return _head(ledger.intake.position(str(current_peer().id)))
        except Denied as refusal:
            return await refuse(refusal)

    @app.post(PATH)
    async def take(request: Request) -> Response:
        try:
            return _head(await ledger.intake.take(str(current_peer().id), await request.body()))
        except Denied as refusal:
            return await refuse(refusal)

    @app.get(f"{PATH}/{{number}}")
    async def in_log(number: Number, since: Size = 0) -> Response:
        try:
            found = await ledger.proof(str(current_peer().id), number, since)
        except (OSError, InvalidLog) as error:
            return DeniedResponse(Denied(AuditReason.NOT_IN_THE_LOG, str(error)))
        return Response(found.json(), media_type="application/json", headers=_NO_STORE) if found else _not_in_log()

    @app.get("/log/{path:path}")
    async def log_file(path: str) -> Response:
        if not _OF_THE_LOG.fullmatch(path):  # control: only-the-log-is-read
            return DeniedResponse(Denied(AuditReason.NOT_IN_THE_LOG, "no path of a log"))
        try:
            content = await asyncio.to_thread(ledger.log.read, path)
        except (OSError, InvalidLog) as error:
            return DeniedResponse(Denied(AuditReason.NOT_IN_THE_LOG, str(error)))
        kind = "text/plain; charset=utf-8" if path == "checkpoint" else "application/octet-stream"
        return Response(content, media_type=kind, headers=_NO_STORE)

    @app.get("/proofs/{sha256}")
    async def proof(sha256: str) -> Response:
        found = await ledger.index.find(receipt_term(str(current_peer().id), sha256))
        if not found:
            return _not_in_log()
        entry, proof = await ledger.index.proof(found[-1], ledger.log.first(found[-1]))
        return JSONResponse({"entry": entry.decode(), "proof": str(proof)}, headers=_NO_STORE)

    return service.guard(app, ROUTES)


def _not_in_log() -> Response:
    answer = {"error": "invalid_request", "reason": AuditReason.NOT_IN_THE_LOG}
    return JSONResponse(answer, 404, {**_NO_STORE, "retry-after": "1"})


def _head(link: Link) -> Response:
    return JSONResponse({"n": link.records, "sha256": link.head}, headers=_NO_STORE)
