"""The audit authority's doors: parties deliver their journals, and read the log and its proofs; all by certificate."""

import asyncio
import logging
import math
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

import httpx
from fastapi import FastAPI, Path, Query, Request, Response
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

from authorities.audit.alarms import Alarms
from authorities.audit.cosigning import Cosigners, others_in
from authorities.audit.index import Index
from authorities.audit.intake import Intake
from authorities.audit.log import Log
from authorities.audit.reasons import AuditReason
from authorities.audit.terms import receipt_term, record_term
from zerotrust.audit.event import Decided, Refusal
from zerotrust.audit.ledger import PATH, InLog, NotDelivered
from zerotrust.audit.record import Link
from zerotrust.audit.tail import MOST_BYTES
from zerotrust.context import current_peer
from zerotrust.decision import Decision, Denied
from zerotrust.routes import MutualTLS, Public, Routes
from zerotrust.service import Service
from zerotrust.tlog.checkpoint import checkpoint_of
from zerotrust.tlog.tiles import reader
from zerotrust.tlog.tree import InvalidLog, consistency_proof
from zerotrust.transport.responses import DeniedResponse

ROUTES: Routes = {
    ("GET", "/health"): Public(),
    ("GET", PATH): MutualTLS(any_workload=True, routine=True),
    ("POST", PATH): MutualTLS(any_workload=True, routine=True, raw_body=True, max_body=MOST_BYTES),
    ("GET", f"{PATH}/{{number}}"): MutualTLS(any_workload=True),
    ("GET", "/log/{path:path}"): MutualTLS(any_workload=True),
    ("GET", "/proofs/{sha256}"): MutualTLS(any_workload=True),
}
log = logging.getLogger(__name__)

WITNESSES = "witnesses"
"""The file in the ledger's data that names further witnesses (c2sp.org/tlog-policy), each with its address."""

ALARM_EVERY = 60
"""Seconds between two records that a party has sent a changed journal, or another's: it may do that for ever."""

_OF_THE_LOG = re.compile(r"checkpoint|tile/(entries|[0-7])(/x[0-9]{3}){0,5}/[0-9]{3}(\.p/[1-9][0-9]{0,2})?")
"""The paths of c2sp.org/tlog-tiles; nothing else in the folder is for others."""
Number = Annotated[int, Path(ge=1, lt=1 << 53)]
"""Of a record in its journal."""
Size = Annotated[int, Query(ge=0, lt=1 << 53)]
"""Of the log at an earlier time."""
_NO_STORE = {"cache-control": "no-store"}


class Ledger:
    """The log with its index and the way into it, while the app runs."""

    def __init__(self, service: Service) -> None:
        self._service, self._published = service, asyncio.Event()
        self.log: Log
        self.index: Index
        self.intake: Intake

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open the log, and publish what comes, for a block.  Raises `LogError`."""
        service, registry = self._service, self._service.registry
        others, outside = await asyncio.to_thread(others_in, service.data / WITNESSES), httpx.AsyncClient()
        address = registry.address(registry.authorities.registry)
        cosigners = Cosigners(address, http=service.egress.authorities, others=others, others_http=outside)
        self.log = await Log.open(service.data, f"{registry.trust_domain}/audit", cosigners, clock=service.clock)
        self.index = Index(service.data / "index.db", self.log)
        self.intake = Intake(self.log, self.index.record, self._published.set)
        delivery = service.delivery(Own(self, registry.id(service.name)))
        work = [asyncio.create_task(one) for one in (self.intake.run(), delivery.run(), self._follow())]
        try:
            yield
        finally:
            for one in work:
                one.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            await self.intake.ended()
            await self.index.close()
            await self.log.close()
            await outside.aclose()

    async def proof(self, of: str, number: int, since: int) -> InLog | None:
        """Return the proof for a record of the journal `of`, and how the log grew; None if it is not published.

        Raises `InvalidLog` if the log never had `since` leaves, and `OSError`.
        """
        if not (found := await self.index.find(record_term(of, number))):
            return None
        _, proof = await self.index.proof(found[0])
        size = checkpoint_of(proof.checkpoint).size
        grown = await asyncio.to_thread(consistency_proof, since, size, reader(self.log.read, size))
        return InLog(proof, tuple(grown))

    async def _follow(self) -> None:
        """Take what is published into the index, and compare the exchanges in it."""
        service, registry = self._service, self._service.registry
        told_by = registry.id(registry.authorities.registry)
        alarms = Alarms(self.log, told_by, registry.id(service.name), service.recorder.append)
        while True:
            await self._published.wait()
            self._published.clear()
            try:
                await self.index.follow()
                await alarms.follow()
            except Exception:  # a bug: what is published is followed the next time, and the log goes on
                log.exception("what is published cannot be followed")


class Own:
    """The ledger, as it takes its own journal."""

    def __init__(self, ledger: Ledger, service: str) -> None:
        self._ledger, self._intake, self._service = ledger, ledger.intake, service

    async def position(self) -> Link:
        """Return where the log stands with the journal.  Raises `NotDelivered`."""
        try:
            return self._intake.position(self._service)
        except Denied as refusal:
            raise NotDelivered(str(refusal)) from refusal

    async def take(self, lines: Sequence[bytes]) -> Link:
        """Take further lines, and return where it stands when they are published.  Raises `NotDelivered`."""
        try:
            return await self._intake.take(self._service, b"".join(line + b"\n" for line in lines))
        except Denied as refusal:
            raise NotDelivered(str(refusal)) from refusal

    async def proof(self, number: int, since: int) -> InLog:
        """Return the proof for a record, and how the log grew since it had `since` leaves.  Raises `NotDelivered`."""
        if not (found := await self._ledger.proof(self._service, number, since)):
            raise NotDelivered(f"the index has no record {number} yet")
        return found


def create_app(service: Service) -> ASGIApp:
    """Return the audit authority, guarded."""
    ledger, alarms = Ledger(service), dict[str, float]()  # one for each party of the registry
    app: FastAPI = service.app(ledger.opened())

    async def told(refusal: Denied) -> Response:
        """Answer; and record that a party has sent a changed journal, or another's."""
        caller, now = str(current_peer().id), service.clock()
        alarming = refusal.reason in {AuditReason.JOURNAL_CHANGED, AuditReason.JOURNAL_OF_ANOTHER}
        # control: alarms-bounded
        if alarming and abs(now - alarms.get(caller, -math.inf)) >= ALARM_EVERY:
            alarms[caller] = now
            decision = Decision(allowed=False, reason=refusal.reason, detail=f"{caller}: {refusal.detail}")
            await service.recorder.write(Refusal(decision=Decided.of(decision)))
        return DeniedResponse(refusal)

    @app.get(PATH)
    async def position() -> Response:
        try:
            return _head(ledger.intake.position(str(current_peer().id)))
        except Denied as refusal:
            return await told(refusal)

    @app.post(PATH)
    async def take(request: Request) -> Response:
        try:
            return _head(await ledger.intake.take(str(current_peer().id), await request.body()))
        except Denied as refusal:
            return await told(refusal)

    @app.get(f"{PATH}/{{number}}")
    async def in_log(number: Number, since: Size = 0) -> Response:
        try:
            found = await ledger.proof(str(current_peer().id), number, since)
        except (OSError, InvalidLog) as error:
            return DeniedResponse(Denied(AuditReason.NOT_IN_THE_LOG, str(error)))
        return Response(found.json(), media_type="application/json", headers=_NO_STORE) if found else _not_yet()

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
            return _not_yet()
        entry, proof = await ledger.index.proof(found[-1], ledger.log.first(found[-1]))
        return JSONResponse({"entry": entry.decode(), "proof": str(proof)}, headers=_NO_STORE)

    return service.guard(app, ROUTES)


def _not_yet() -> Response:
    answer = {"error": "invalid_request", "reason": AuditReason.NOT_IN_THE_LOG}
    return JSONResponse(answer, 404, {**_NO_STORE, "retry-after": "1"})


def _head(link: Link) -> Response:
    return JSONResponse({"n": link.records, "sha256": link.head}, headers=_NO_STORE)
