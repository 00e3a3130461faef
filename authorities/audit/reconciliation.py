"""Compares the exchanges in the journals with those that the issuer says it made, leaf by leaf of the log.  Pure.

Nothing but the leaves counts, the time included: it is that of the heads by which each batch ends.  So whoever has the
leaves comes to the same alarms, and a ledger that starts again goes on by reading the last ones.

An exchange that the issuer made is explained by the journal of its client.  A journal may come late, so it is waited
for: until it has a record from later on, or until nothing came for some time.  Longer where the registry's records were
held up: then the log was away, and parties try again up to half a minute later.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from zerotrust.audit.event_types import Alarm, AlarmCause, Exchange, Issued, IssuedToken
from zerotrust.audit.forms import MICROSECONDS
from zerotrust.audit.leaf import Heads, leaf_of
from zerotrust.limits.bounded import Bounded

LATER = 12 * MICROSECONDS
"""After an exchange, its client's journal has it for certain: a client waits 10 s for the issuer's answer."""
SILENT = 15 * MICROSECONDS
"""For which a journal may have no record from later on: the client waits 10 s, and is delivered within a second."""
AFTER_A_PAUSE = 45 * MICROSECONDS
"""The same after the log was away: parties try again within 30 s (`zerotrust/audit/delivery.py`)."""
HELD_UP = 8 * MICROSECONDS
"""By which a record of the registry comes late if the log was away.  Others could say anything of their time."""
ISSUER_LATE = 10 * MICROSECONDS
"""For which the issuer's event of an exchange may come late."""
MOST = 10_000
"""Of what is waited for, of each kind: an issuer makes a hundred exchanges a second."""
MOST_ATTEMPTS = 100
"""Of one client, for one audience and user: more than it has under way."""

_ID = re.compile(r"[\x21-\x7e]+")
"""An id that an alarm can name: what an exchange calls the token may be any text (`zerotrust/audit/event_types.py`)."""
_TOLD = re.compile(rb'"type":"(?:issued|exchange|alarm)"')
_WHEN = re.compile(rb'"schema":1,"service":"(spiffe://[\w./-]+)","time":([0-9]+)')
"""No other text of a record can be this, for a quotation mark within a string is escaped."""


class _Journalled(NamedTuple):
    service: str
    at: int
    subject: str


class _Attempt(NamedTuple):
    client: str
    audience: str | None
    subject: str | None


@dataclass(slots=True)
class _Awaited:
    token: IssuedToken
    since: int = 0
    """When the log had it."""
    silent: bool = False
    """Whether there is an alarm, because its client's journal says nothing."""


class Reconciliation:
    """The exchanges that have no counterpart yet.  It takes all leaves of a log, in their order."""

    def __init__(self, registry: str, ledger: str, *, whole: bool = True) -> None:
        """`registry`, `ledger`: the SPIFFE IDs of the parties whose journals have what the issuer says, and the alarms.

        `whole`: it takes all leaves from the first one.  Otherwise what may have its counterpart before is left out.
        """
        self._registry, self._ledger, self._whole = registry, ledger, whole
        self._awaited, self._journalled = Bounded[str, _Awaited](MOST), Bounded[str, _Journalled](MOST)
        self._attempts = Bounded[_Attempt, list[int]](MOST)
        """The times of exchanges whose end the client does not know."""
        self._latest = Bounded[str, int](MOST)
        """The latest time in each journal."""
        self._recorded = Bounded[tuple[str, AlarmCause], None](MOST)
        self._oldest: int | None = None
        """The earliest time of the registry's records in this batch."""
        self._until = self._patient_until = self._left_out = 0
        self._begun = False

    def missed(self, leaves: Iterable[bytes]) -> list[Alarm]:
        """Take leaves of an earlier time.  Return the alarms that are not among them.  Raises as `take`."""
        found = [alarm for leaf in leaves for alarm in self.take(leaf)]
        return [alarm for alarm in found if (alarm.token_id, alarm.cause) not in self._recorded]

    def take(self, leaf: bytes) -> list[Alarm]:
        """Take the next leaf; return new alarms, if it ends a batch.  Raises `ValueError` for no leaf of a ledger."""
        if not _TOLD.search(leaf) and (when := _WHEN.search(leaf)):
            self._note_time(when[1].decode(), int(when[2]))
            return []
        content = leaf_of(leaf)
        if isinstance(content, Heads):
            return [*self._compared(content.time)]
        event = content.event
        self._note_time(event.service, event.time)
        match event.data:
            case Issued(tokens=tokens, until=until):
                if event.service != self._registry:  # control: issuer-told-by-registry
                    return []
                for token in tokens or ():
                    self._awaited[token.token_id] = _Awaited(token)
                self._until = max(self._until, until)
            case Exchange(decision=decision, token_id=str(name), principal=caller) if decision.allowed:
                if not _ID.fullmatch(name):  # control: alarm-names-an-id
                    return []
                self._journalled[name] = _Journalled(event.service, event.time, caller.subject)
            case Exchange(audience=audience, principal=caller):
                attempt = _Attempt(event.service, audience, caller.subject)
                of_late = [at for at in self._attempts.get(attempt, ()) if at >= event.time - 2 * LATER]
                self._attempts[attempt] = [*of_late[-MOST_ATTEMPTS:], event.time]
            case Alarm(token_id=name, cause=cause):
                if event.service == self._ledger:  # control: alarm-of-the-ledger
                    self._recorded[name, cause] = None
        return []

    def _note_time(self, service: str, time: int) -> None:
        self._latest[service] = max(time, self._latest.get(service, 0))
        if service == self._registry:
            self._oldest = min(time, self._oldest or time)

    def _compared(self, now: int) -> Iterator[Alarm]:
        """Compare after a batch that was written at `now`."""
        if not self._begun and not self._whole:
            self._left_out = now + AFTER_A_PAUSE
        if not self._begun or (self._oldest is not None and now - self._oldest > HELD_UP):
            self._patient_until = now + AFTER_A_PAUSE
        self._begun, self._oldest = True, None
        for name, awaited in [*self._awaited.items()]:
            awaited.since = awaited.since or now
            done, cause = self._found(awaited, now)
            awaited.silent |= cause == "silent"
            if done:
                del self._awaited[name]
            if cause:
                token = awaited.token
                yield Alarm(cause=cause, party=token.client, token_id=name, at=token.time, subject=token.subject)
        for name, made in [*self._journalled.items()]:
            if made.at < self._left_out:
                del self._journalled[name]
            elif made.at + ISSUER_LATE <= self._until:
                del self._journalled[name]
                # control: journalled-exchange-issued
                yield Alarm(cause="unknown", party=made.service, token_id=name, at=made.at, subject=made.subject)

    def _found(self, awaited: _Awaited, now: int) -> tuple[bool, AlarmCause | None]:
        """Return whether a token need not be waited for any longer, and what there is to say of it."""
        token = awaited.token
        if self._explains(token):
            return True, "explained" if awaited.silent else None
        if token.time < self._left_out:
            return True, None
        if self._latest.get(token.client, 0) >= token.time + LATER:  # control: issued-exchange-journalled
            return True, "unexplained"
        late = now >= max(awaited.since + SILENT, self._patient_until)
        return False, "silent" if late and not awaited.silent else None  # control: silent-journal-noticed

    def _explains(self, token: IssuedToken) -> bool:
        """Return whether the journal of the token's client has its exchange, and take that as explained.

        An exchange whose answer was lost has no token in the journal; it explains one token of the same audience and
        user.
        """
        made = self._journalled.get(token.token_id)
        if made and made.service == token.client:  # control: exchange-in-its-clients-journal
            del self._journalled[token.token_id]
            return True
        attempts = self._attempts.get(_Attempt(token.client, token.audience, token.subject), [])
        for at in attempts:
            if abs(at - token.time) <= LATER:
                attempts.remove(at)
                return True
        return False
