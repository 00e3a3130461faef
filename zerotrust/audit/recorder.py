"""Writes an event, in the only way: adds the service, the time and the request's trace, and journals it."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from zerotrust.audit.event import SCHEMA, AuditEvent
from zerotrust.audit.event_parts import Trace
from zerotrust.audit.event_types import Alarm, Counts, Data, Issued
from zerotrust.audit.forms import MICROSECONDS
from zerotrust.audit.journal import Journal
from zerotrust.audit.record import Link
from zerotrust.context import REQUEST
from zerotrust.decision import Denied, Reason


class Recorder:
    """Writes the events of one service."""

    measurement: str | None = None
    """The approved digest over the code of this party, in the registry snapshot in use; None if it is not approved."""

    def __init__(self, journal: Journal, service: str, *, clock: Callable[[], float] = time.time) -> None:
        """`service`: this party's SPIFFE ID; `clock`: seconds since the epoch."""
        self._journal, self._service, self._clock = journal, service, clock

    async def write(self, data: Data) -> None:
        """Write an event, and return when it is on the disk.  Raises `Denied`: no act without a record."""
        await self.wait_until_written([self.append(data)])

    def write_before_answer(self, data: Data) -> None:
        """Queue an event; the gate does not answer the current request before it is on the disk."""
        REQUEST.get().unwritten.append(self.append(data))

    async def wait_until_written(self, records: list[Awaitable[object]]) -> None:
        """Take these out of the list, and return when they are on the disk.  Raises `Denied`."""
        try:
            while records:
                await records.pop()
        except OSError as error:
            raise Denied(Reason.JOURNAL_UNAVAILABLE, str(error)) from error  # control: no-act-without-record

    def append(self, data: Data) -> asyncio.Future[Link]:
        """Queue an event.  The future is done when it is on the disk, with its `Link`, or fails with `JournalError`."""
        return self._journal.append(self._event(data))

    def append_lazily(self, data: Data) -> None:
        """Queue an event without waiting for it; it is written with the next commit."""
        self._journal.append_lazily(self._event(data))

    def close(self) -> None:
        self._journal.close()

    def _event(self, data: Data) -> bytes:
        now, trace = int(self._clock() * MICROSECONDS), None
        if not isinstance(data, Counts | Issued | Alarm) and (request := REQUEST.get(None)):
            span = request.span
            trace = Trace(
                trace_id=span.trace_id,
                span_id=span.span_id,
                parent_id=span.parent_id,
                caller_trace_id=span.caller_trace_id,
            )
        return AuditEvent(
            schema=SCHEMA, time=now, service=self._service, trace=trace, data=data, measurement=self.measurement
        ).canonical()
