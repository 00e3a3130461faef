"""Y. Exchanges: one that an intruder makes behind a party's back, and one that a party invents."""

from typing import Any, cast
from unittest.mock import patch

from authorities.audit import reconciliation
from authorities.audit.alarms import Alarms
from authorities.audit.reconciliation import SILENT, Reconciliation
from tests.support.attack import Attempt, Scene, Tries, attack
from tests.support.exchanges import (
    ANYTHING,
    LEDGER,
    READER,
    REGISTRY,
    SECOND,
    WRITER,
    A,
    Log,
    exchange,
    line,
    said,
    token,
)
from zerotrust.audit.event import is_valid
from zerotrust.audit.event_types import Alarm, Counts, Issued


def told(log: Log, *expected: str) -> Attempt:
    """An attempt that succeeds where there is no alarm; otherwise it must be the right ones."""
    if not log.alarms:
        return Attempt("no alarm", succeeded=True)
    found = "; ".join(sorted(f"{alarm.cause}: {alarm.party} {alarm.token_id}" for alarm in log.alarms))
    return Attempt("alarm", succeeded=False, recorded=(found,), reason="; ".join(sorted(expected)))


MADE = said(61 * SECOND, token("a", 60 * SECOND))


@attack(346, Scene)
async def test_an_exchange_behind_a_partys_back() -> Tries:
    """At a busy party, at one that writes nothing, and with an accomplice who writes the exchange down."""
    busy = Log().idle(0, 60 * SECOND).add(61 * SECOND, MADE)
    busy.add(75 * SECOND, line(READER, 75 * SECOND, ANYTHING))
    yield told(busy, f"unexplained: {READER} a").stopped_by("issued-exchange-journalled and silent-journal-noticed")
    idle = Log().idle(0, 60 * SECOND).add(61 * SECOND, MADE).idle(65 * SECOND, 70 * SECOND + SILENT)
    yield told(idle, f"silent: {READER} a").stopped_by("silent-journal-noticed")
    accomplice = Log().idle(0, 60 * SECOND).add(61 * SECOND, MADE, line(WRITER, 60 * SECOND, exchange("a")))
    accomplice.add(75 * SECOND, said(75 * SECOND), line(READER, 75 * SECOND, ANYTHING))
    yield told(accomplice, f"unexplained: {READER} a", f"unknown: {WRITER} a").stopped_by("exchanges-by-party")


@attack(347, Scene)
async def test_an_exchange_that_was_invented() -> Tries:
    """By itself, and together with words as the registry's that the issuer made it."""
    invented = Log().add(SECOND, line(READER, SECOND, exchange("a"))).idle(5 * SECOND, 30 * SECOND)
    yield told(invented, f"unknown: {READER} a")
    words = Issued(until=token("a").time, tokens=(token("a", SECOND),))
    vouched = Log().add(SECOND, line(READER, SECOND, exchange("a")), line(READER, SECOND, words))
    yield told(vouched.idle(5 * SECOND, 30 * SECOND), f"unknown: {READER} a")


@attack(378, Scene)
async def test_an_alarm_in_the_journal_of_another_party() -> Tries:
    """What the ledger would have to raise after a restart is on record already, by somebody else."""
    log = Log().idle(0, 60 * SECOND).add(61 * SECOND, said(61 * SECOND, A)).idle(65 * SECOND, 70 * SECOND + SILENT)
    log.add(75 * SECOND + SILENT, line(WRITER, 60 * SECOND, log.alarms[0]))
    missed = Reconciliation(REGISTRY, LEDGER).missing_alarms(log.leaves)
    yield Attempt("an alarm names the party and the token", log.alarms[0] not in missed)


@attack(377, Scene)
async def test_a_name_that_no_record_may_have() -> Tries:
    """The exchange is in its journal, and the issuer does not know of it."""
    made = (line(READER, SECOND, exchange(name)) for name in ("a b", "another"))
    log, raised = Log().add(SECOND, *made).idle(5 * SECOND, 30 * SECOND), list[Alarm | Counts]()
    Alarms(cast("Any", None), REGISTRY, LEDGER, raised.append)._record(log.alarms)
    assert "another" in {alarm.token_id for alarm in raised if isinstance(alarm, Alarm)}
    yield Attempt("what has no form is not recorded", not all(map(is_valid, raised)))


@attack(400, Scene)
async def test_inventions_until_another_party_is_accused() -> Tries:
    """The other party has recorded its exchange, and the issuer's word of it comes last."""
    with patch.object(reconciliation, "MOST", 10):
        log = Log().idle(0, 60 * SECOND)
        log.add(61 * SECOND, line(READER, 60 * SECOND, exchange("a")))
        log.add(62 * SECOND, *(line(WRITER, 60 * SECOND, exchange(f"w{number}")) for number in range(11)))
        log.add(63 * SECOND, MADE)
        log.add(75 * SECOND, said(75 * SECOND), line(READER, 75 * SECOND, ANYTHING))
    accused = sorted({alarm.party for alarm in log.alarms})
    yield Attempt(f"{len(accused)} accused", READER in accused, recorded=accused, reason=WRITER)


@attack(401, Scene)
async def test_a_record_of_a_time_to_come() -> Tries:
    """An intruder in the party has written it; the party's own exchange is in its journal a moment later."""
    log = Log().idle(0, 60 * SECOND).add(60 * SECOND, line(READER, 3_600 * SECOND, ANYTHING))
    log.add(61 * SECOND, MADE).add(62 * SECOND, line(READER, 60 * SECOND, exchange("a")))
    found = log.idle(65 * SECOND, 90 * SECOND).causes
    yield Attempt(f"{len(found)} alarms", succeeded=bool(found))


@attack(402, Scene)
async def test_inventions_until_nobody_finds_the_other_alarms() -> Tries:
    many = (line(WRITER, SECOND, exchange(f"w{number}")) for number in range(100))
    log = Log().add(SECOND, *many).idle(5 * SECOND, 90 * SECOND)
    told, counted = len(log.alarms), sum(more.times for one in log.counts for more in one.repeated or ())
    assert told + counted >= 100
    yield Attempt(f"{told} alarms, and the number of {counted} others", told >= 100)
