"""The running ledger: the log with its index, its intake and its followers, and the delivery of its own journal."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx

from authorities.audit.alarms import Alarms
from authorities.audit.cosigning import Cosigners
from authorities.audit.external_witnesses import WitnessFile
from authorities.audit.index import Index
from authorities.audit.intake import Intake
from authorities.audit.log import Log
from authorities.audit.sent_lines import writers
from authorities.audit.terms import record_term
from zerotrust.audit.log_client import InLog, NotDelivered
from zerotrust.audit.record import Link
from zerotrust.authority.log.proofs import consistency_proof
from zerotrust.authority.log.tiles import node_reader
from zerotrust.decision import Denied
from zerotrust.service import Service
from zerotrust.tlog.checkpoint import checkpoint_of

WITNESSES = "witnesses"
"""The file in the ledger's data that names further witnesses (c2sp.org/tlog-policy), each with its address.

A change of it takes effect with the next checkpoint."""

log = logging.getLogger(__name__)


class Ledger:
    """The log with its index and its intake, while the app runs."""

    def __init__(self, service: Service) -> None:
        self._service, self._published = service, asyncio.Event()
        # The last records come of the parties that end at the same time, or have just ended.
        service.before_end = lambda: self.intake.wait_until_quiet()  # noqa: PLW0108 - it is made later
        self.log: Log
        self.index: Index
        self.intake: Intake

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open the log, and publish what comes, for a block.  Raises `LogError`."""
        service, registry = self._service, self._service.registry
        others, outside = await asyncio.to_thread(WitnessFile, service.data / WITNESSES), httpx.AsyncClient()
        address = registry.address(registry.authorities.registry)
        cosigners = Cosigners(address, http=service.egress.authorities, others=others, others_http=outside)
        self.log = await Log.open(service.data, f"{registry.trust_domain}/audit", cosigners, clock=service.clock)
        self.index = Index(service.data / "index.db", self.log)
        self.intake = Intake(self.log, self.index.record, self._published.set, writers(registry))
        delivery = service.delivery(Own(self, registry.id(service.name)))
        work = [asyncio.create_task(one) for one in (self.intake.run(), delivery.run(), self._follow())]
        try:
            yield
        finally:
            await delivery.finish()
            for one in work:
                one.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            await self.intake.wait_until_done()
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
        grown = await asyncio.to_thread(consistency_proof, since, size, node_reader(self.log.read, size))
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
