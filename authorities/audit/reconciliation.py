"""Compares the exchanges in the journals with those that the issuer says it made, leaf by leaf of the log.  Pure.

Only the leaves count, also for the time: that is in the heads at the end of each batch.  So every reader of the leaves
comes to the same alarms, and a ledger that starts again reads the last leaves and goes on.

An exchange that the issuer made is explained by the journal of its client.  A journal may come late, so the comparison
waits: until it has a later record, or until nothing came for some time.  It waits longer if the registry's records were
held up: then the log was away, and parties try again within half a minute.

Each party has its own place in memory, and its own number of alarms a minute: an invention of one accuses no other, and
hides no alarm about another.  A time in a record counts as no later than the batch in which it came.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from zerotrust.audit.event_types import Alarm, AlarmCause, Counts, Exchange, Issued, IssuedToken, Repeated
from zerotrust.audit.forms import MICROSECONDS, sanitize
from zerotrust.authority.ledger.leaf import Heads, leaf_of
from zerotrust.limits.bounded import Bounded

LATER = 12 * MICROSECONDS
"""Microseconds after which a journal has its exchange for certain: a client waits 10 s for the issuer's answer."""
SILENT = 15 * MICROSECONDS
"""Microseconds for which a journal may have no later record: its client waits 10 s, and delivers within a second."""
AFTER_A_PAUSE = 45 * MICROSECONDS
"""`SILENT` after the log was away: parties try again within 30 s (`zerotrust/audit/delivery.py`)."""
HELD_UP = 8 * MICROSECONDS
"""Microseconds of delay of a registry's record that show that the log was away.  Other parties could write any time."""
ISSUER_LATE = 10 * MICROSECONDS
"""Microseconds by which the issuer's event of an exchange may come late."""
MOST = 10_000
"""Exchanges of one party that are waited for, of each kind: an issuer makes a hundred a second."""
MOST_KINDS, MOST_ATTEMPTS = 1_000, 100
"""For exchanges of one party without a known end: pairs of audience and user, and exchanges of each pair."""
IN_FULL = 10
"""Alarms of one cause about one party that are recorded singly within a minute; all further alarms are only counted."""
MINUTE = 60 * MICROSECONDS
COUNTED = sanitize("alarm")
"""The operation in the count of alarms (`Repeated`)."""

LONGEST = 200
"""Characters of a name that an issuer gives: an exchange of a longer one is not compared."""

_ID = re.compile(rf"[\x21-\x7e]{{1,{LONGEST}}}")
"""An id that an alarm can name: an exchange may name its token by any text (`zerotrust/audit/event_types.py`)."""
_TOLD = re.compile(rb'"type":"(?:issued|exchange)"')
_RAISED = re.compile(rb'"type":"(?:alarm|counts)"')
_WHEN = re.compile(rb'"schema":1,"service":"(spiffe://[\w./-]+)","time":([0-9]+)')
"""Matches nothing else in a record, because a quotation mark within a string is escaped."""


@dataclass(slots=True)
class _Journalled:
    at: int
    subject: str


class _Attempt(NamedTuple):
    audience: str | None
    subject: str | None


@dataclass(slots=True)
class _Awaited:
    token: IssuedToken
    since: int = 0
    """When the log had it."""
    silent: bool = False
    """Whether there is an alarm, because its client's journal says nothing."""


@dataclass(slots=True)
class _Party:
    """The state of one party, the client of its exchanges."""

    awaited: Bounded[str, _Awaited] = field(default_factory=lambda: Bounded(MOST))
    """The exchanges that the issuer reports."""
    journalled: Bounded[str, _Journalled] = field(default_factory=lambda: Bounded(MOST))
    """The exchanges that its own journal reports."""
    attempts: Bounded[_Attempt, list[int]] = field(default_factory=lambda: Bounded(MOST_KINDS))
    """The times of exchanges whose end it does not know."""
    latest: int = 0
    """The latest time in its journal."""
    alarms: Counter[AlarmCause] = field(default_factory=Counter)
    """The number of its alarms in this minute, by cause."""

    def believe_nothing_later(self, now: int) -> None:
        """Move the times in its records that are after `now` back to it: they had all come by then."""
        self.latest = min(self.latest, now)
        for made in self.journalled.values():
            made.at = min(made.at, now)
        for times in self.attempts.values():
            times[:] = [min(at, now) for at in times]


class Reconciliation:
    """The exchanges that have no counterpart yet.  It takes all leaves of a log, in their order."""

    def __init__(self, registry: str, ledger: str, *, whole: bool = True) -> None:
        """`registry`, `ledger`: the SPIFFE IDs of the parties whose journals have what the issuer says, and the alarms.

        `whole`: it takes all leaves from the first one.  Otherwise it leaves out what may have an earlier counterpart.
        """
        self._registry, self._ledger, self._whole = registry, ledger, whole
        self._parties = defaultdict[str, _Party](_Party)
        """By SPIFFE ID: each has a journal, or is a client of the issuer; no record can add another."""
        self._oldest: int | None = None
        """The earliest time of the registry's records in this batch."""
        self._until = self._patient_until = self._left_out = self._minute = 0
        self._begun = False

    def missing_alarms(self, leaves: Iterable[bytes]) -> list[Alarm | Counts]:
        """Take leaves of an earlier time.  Return the alarms that are not among them.  Raises as `take`."""
        found, recorded = list[Alarm | Counts](), Counter[Alarm | Counts]()
        for leaf in leaves:
            found += self.take(leaf)
            recorded.update(self._recorded_alarms(leaf))
        missing = list[Alarm | Counts]()
        for alarm in found:
            if recorded[alarm]:
                recorded[alarm] -= 1
            else:
                missing.append(alarm)
        return missing

    def _recorded_alarms(self, leaf: bytes) -> Iterator[Alarm | Counts]:
        if not _RAISED.search(leaf):
            return
        content = leaf_of(leaf)
        if isinstance(content, Heads) or not isinstance(alarm := content.event.data, Alarm | Counts):
            return
        if content.event.service == self._ledger:  # control: alarm-of-the-ledger
            yield alarm

    def take(self, leaf: bytes) -> list[Alarm | Counts]:
        """Take the next leaf; return new alarms, if it ends a batch.  Raises `ValueError` if it is none."""
        if not _TOLD.search(leaf) and (when := _WHEN.search(leaf)):
            self._note_time(when[1].decode(), int(when[2]))
            return []
        content = leaf_of(leaf)
        if isinstance(content, Heads):
            return [*self._limit_alarms(self._compare(content.time), content.time)]
        event = content.event
        self._note_time(event.service, event.time)
        match event.data:
            case Issued(tokens=tokens, until=until):
                if event.service != self._registry:  # control: issuer-told-by-registry
                    return []
                for token in tokens or ():
                    self._party(token.client).awaited[token.token_id] = _Awaited(token)
                self._until = max(self._until, until)
            case Exchange(audience=audience, principal=caller) if max(len(audience), len(caller.subject)) > LONGEST:
                return []
            case Exchange(decision=decision, token_id=str(name), principal=caller) if decision.allowed:
                if not _ID.fullmatch(name):  # control: alarm-names-an-id
                    return []
                self._party(event.service).journalled[name] = _Journalled(event.time, caller.subject)
            case Exchange(audience=audience, principal=caller):
                attempts, attempt = self._party(event.service).attempts, _Attempt(audience, caller.subject)
                of_late = [at for at in attempts.get(attempt, ()) if at >= event.time - 2 * LATER]
                attempts[attempt] = [*of_late[-MOST_ATTEMPTS:], event.time]
        return []

    def _party(self, name: str) -> _Party:
        return self._parties[name]  # control: exchanges-by-party

    def _note_time(self, service: str, time: int) -> None:
        party = self._party(service)
        party.latest = max(time, party.latest)
        if service == self._registry:
            self._oldest = min(time, self._oldest or time)

    def _limit_alarms(self, found: Iterable[Alarm], now: int) -> Iterator[Alarm | Counts]:
        """Yield alarms of a batch that was written at `now`; and at the end of a minute, how many were left out."""
        if now // MINUTE != self._minute:
            self._minute = now // MINUTE
            for name, party in self._parties.items():
                for cause, times in party.alarms.items():
                    if times > IN_FULL:
                        more = Repeated(operation=COUNTED, reason=cause, times=times - IN_FULL, party=name)
                        yield Counts(repeated=(more,))
                party.alarms.clear()
        for alarm in found:
            seen = self._party(alarm.party).alarms
            seen[alarm.cause] += 1
            if seen[alarm.cause] <= IN_FULL:  # control: alarms-of-a-cause-counted
                yield alarm

    def _compare(self, now: int) -> Iterator[Alarm]:
        if not self._begun and not self._whole:
            self._left_out = now + AFTER_A_PAUSE
        if not self._begun or (self._oldest is not None and now - self._oldest > HELD_UP):
            self._patient_until = now + AFTER_A_PAUSE
        self._begun, self._oldest, self._until = True, None, min(self._until, now)
        for name, party in [*self._parties.items()]:
            party.believe_nothing_later(now)  # control: no-time-after-delivery
            yield from self._check_issued(party, now)
            yield from self._check_journalled(name, party)  # control: journalled-exchange-issued

    def _check_issued(self, party: _Party, now: int) -> Iterator[Alarm]:
        for name, awaited in [*party.awaited.items()]:
            awaited.since = awaited.since or now
            done, cause = self._judge(awaited, party, now)
            awaited.silent |= cause == "silent"
            if done:
                del party.awaited[name]
            if cause:
                token = awaited.token
                yield Alarm(cause=cause, party=token.client, token_id=name, at=token.time, subject=token.subject)

    def _check_journalled(self, party_id: str, party: _Party) -> Iterator[Alarm]:
        for name, made in [*party.journalled.items()]:
            if made.at < self._left_out:
                del party.journalled[name]
            elif made.at + ISSUER_LATE <= self._until:
                del party.journalled[name]
                yield Alarm(cause="unknown", party=party_id, token_id=name, at=made.at, subject=made.subject)

    def _judge(self, awaited: _Awaited, party: _Party, now: int) -> tuple[bool, AlarmCause | None]:
        """Return whether the wait for a token is over, and the cause of an alarm about it, if any."""
        token = awaited.token
        if _explains(party, token):
            return True, "explained" if awaited.silent else None
        if token.time < self._left_out:
            return True, None
        if party.latest >= token.time + LATER:  # control: issued-exchange-journalled
            return True, "unexplained"
        late = now >= max(awaited.since + SILENT, self._patient_until)
        return False, "silent" if late and not awaited.silent else None  # control: silent-journal-noticed


def _explains(party: _Party, token: IssuedToken) -> bool:
    """Return whether the journal of the token's client has its exchange; that exchange explains no other token.

    An exchange whose answer was lost has no token in the journal; it explains one token of the same audience and user.
    """
    if party.journalled.pop(token.token_id, None):
        return True
    times = party.attempts.get(_Attempt(token.audience, token.subject), [])
    for at in times:
        if abs(at - token.time) <= LATER:
            times.remove(at)
            return True
    return False
