"""Records each exchange of a token that Keycloak says it made, so that journals can be compared with it.

It reads apart from the events that revoke something, so that many exchanges delay no revocation.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from authorities.registry.keycloak.admin import Administration
from authorities.registry.keycloak.event_window import OVERLAP
from authorities.registry.keycloak.events import EXCHANGED, Event
from zerotrust.audit.chain import closed_segments, segment_lines
from zerotrust.audit.event_types import Issued, IssuedToken
from zerotrust.audit.forms import sanitize
from zerotrust.audit.record import event_of

SECONDS_BETWEEN_READS = 2
"""An alarm waits longer than that for a journal, and more reads could delay those that revoke something."""
SECONDS_BETWEEN_RECORDS, SECONDS_ACTIVE = 5, 120
"""Seconds between two records without news, and for how long after news; each says until when there is nothing else."""
SECONDS_IDLE = 60
"""Seconds between two records without news after `SECONDS_ACTIVE`."""
MOST = 1_000
"""New exchanges that are read at once, the oldest first: more than Keycloak makes in ten seconds."""
IN_A_RECORD = 100
"""Tokens in one record: some 30 KiB, half of what a record may have."""

log = logging.getLogger(__name__)


class Recording(Protocol):
    """The part of `Recorder` that is needed here."""

    def append(self, data: Issued) -> Awaitable[object]:
        """Queue an event; done when it is on the disk."""


class Exchanges:
    """The exchanges of which the journal has records: each is recorded once, also over restarts."""

    def __init__(
        self,
        administration: Administration,
        recorder: Recording,
        recorded: Iterable[Issued],
        *,
        since: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`recorded`: the journal's latest records; `since`: where to begin if there are none, in epoch seconds."""
        self._administration, self._recorder, self._clock = administration, recorder, clock
        self._newest, self._known = 0, dict[str, int]()
        """In milliseconds of the issuer's clock: up to when it was read, and the tokens from shortly before that."""
        self._said = self._news = float("-inf")
        for issued in recorded:
            self._note(issued.tokens or (), issued.until // 1000)
        self._newest = self._newest or int(since * 1000)

    async def read(self) -> None:
        """Read the new exchanges, and record them.  Raises the errors of `asking`, and `OSError`: nothing is lost."""
        while await self._read_some():
            pass

    async def _read_some(self) -> bool:
        """Read and record the oldest new exchanges; return whether there may be more."""
        began, most = self._clock(), MOST + len(self._known)
        query = {"type": [EXCHANGED], "dateFrom": str(self._newest - OVERLAP), "direction": "asc", "max": str(most)}
        async with self._administration.asking() as admin:
            found: list[Event] = await admin.a_get_events(query)
        more = len(found) >= most
        until = int(max(event["time"] for event in found) * 1000) if more else int(began * 1_000_000)
        new = {token.token_id: token for event in found if (token := token_of(event)).token_id not in self._known}
        self._news = began if new else self._news
        if new or began - self._said >= self._pause(began):
            self._said = began
            for part in _parts([*new.values()]):
                await self._recorder.append(Issued(until=until, tokens=part or None))
        self._note(new.values())
        return more

    def _pause(self, now: float) -> float:
        return SECONDS_BETWEEN_RECORDS if now - self._news <= SECONDS_ACTIVE else SECONDS_IDLE

    def _note(self, tokens: Iterable[IssuedToken], until: int = 0) -> None:
        times = {token.token_id: token.time // 1000 for token in tokens}
        self._newest = max([self._newest, until, *times.values()])
        self._known = {name: at for name, at in (self._known | times).items() if at >= self._newest - OVERLAP}

    async def follow(self) -> None:
        """Read until cancelled.  While it cannot, the log reports it once."""
        failed = False
        while True:
            try:
                await self.read()
                if failed:
                    log.info("Keycloak's exchanges are recorded again")
                failed = False
            except Exception as error:  # noqa: BLE001 - whatever it was, it is tried again
                if not failed:
                    log.info("Keycloak's exchanges are not recorded: %s", str(error) or type(error).__name__)
                failed = True
            await asyncio.sleep(SECONDS_BETWEEN_READS)


def token_of(event: Event) -> IssuedToken:
    """Return the token of an event of an exchange.  Pure."""
    details: dict[str, Any] = event.get("details") or {}
    audience = details.get("audience")
    return IssuedToken(
        client=_id(event.get("clientId")),
        token_id=_id(details.get("token_id")),
        time=int(event["time"]) * 1000,
        audience=sanitize(audience) if audience else None,
        subject=_id(event["userId"]) if event.get("userId") else None,
    )


def read_recorded(journal: Path) -> Iterator[Issued]:
    """Yield the records of exchanges in the two newest segments of the registry's journal, oldest first.  Blocks."""
    for segment in [*closed_segments(journal)[-1:], journal]:
        if not segment.exists():
            continue
        for line in segment_lines(segment):
            if b'"type":"issued"' in line and isinstance(data := event_of(line).data, Issued):
                yield data


def _id(text: object) -> str:
    """Return an id in the form of records, without spaces; "unknown" if Keycloak gives none."""
    found = sanitize(str(text or "")).replace(" ", "_")
    return found or "unknown"


def _parts(tokens: list[IssuedToken]) -> Iterator[tuple[IssuedToken, ...]]:
    yield tuple(tokens[:IN_A_RECORD])
    for begin in range(IN_A_RECORD, len(tokens), IN_A_RECORD):
        yield tuple(tokens[begin : begin + IN_A_RECORD])
