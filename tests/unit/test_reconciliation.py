"""Exchanges in journals and at the issuer: what is missing on one side is an alarm, and what is late is none."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorities.audit import reconciliation
from tests.support.exchanges import (
    ANYTHING,
    LEDGER,
    LONG,
    READER,
    REGISTRY,
    SECOND,
    START,
    WRITER,
    A,
    B,
    Log,
    exchange,
    line,
    said,
    token,
)
from tests.support.records import CALLER
from zerotrust.audit.delivery import LONGEST_PAUSE
from zerotrust.audit.event_types import Alarm, Counts, Repeated
from zerotrust.audit.forms import MICROSECONDS, sanitize
from zerotrust.limits.answers import SECONDS


def test_a_client_that_writes_nothing_is_an_alarm_too_within_seconds() -> None:
    log = Log().idle(0, 60 * SECOND).add(61 * SECOND, said(61 * SECOND, A))
    assert log.idle(62 * SECOND, 61 * SECOND + reconciliation.SILENT).alarms == []

    log.idle(61 * SECOND + reconciliation.SILENT, LONG)

    assert log.causes == [("silent", "a")]


def test_while_the_registry_cannot_read_the_issuers_events_no_exchange_is_unknown() -> None:
    log = Log().add(SECOND, line(READER, SECOND, exchange("a")))
    for at in range(5, 600, 5):
        log.add(at * SECOND, line(REGISTRY, at * SECOND, ANYTHING))

    assert log.add(600 * SECOND, said(600 * SECOND, token("a", SECOND))).alarms == []


def test_an_exchange_whose_answer_was_lost_explains_one_token_of_the_same_user_and_audience() -> None:
    lost = line(READER, 10 * SECOND, exchange(None, reason="issuer_unavailable"))
    log = Log().add(11 * SECOND, said(2 * SECOND, token("a", SECOND), token("b", SECOND)), lost)
    log.add(30 * SECOND, line(READER, 30 * SECOND, ANYTHING))

    assert log.causes == [("unexplained", "b")]


@pytest.mark.parametrize(
    "change", [{"audience": sanitize(WRITER)}, {"subject": "bob"}, {"client": WRITER}, {"time": START}]
)
def test_a_lost_answer_explains_no_token_of_another_kind(change: dict[str, str]) -> None:
    lost = line(READER, 20 * SECOND, exchange(None, reason="issuer_unavailable"))
    other = replace(token("a", 19 * SECOND), **change)  # type: ignore[arg-type] # texts, and the time
    log = Log().add(20 * SECOND, said(20 * SECOND, other), lost)
    log.add(40 * SECOND, line(READER, 40 * SECOND, ANYTHING), line(WRITER, 40 * SECOND, ANYTHING))

    assert log.causes == [("unexplained", "a")]


def test_after_a_pause_of_the_log_parties_have_the_time_in_which_they_try_again() -> None:
    log = Log().idle(0, 60 * SECOND)
    back = 300 * SECOND  # nobody could deliver for four minutes
    log.add(back, said(61 * SECOND, token("a", 60 * SECOND), at=61 * SECOND), said(back))
    log.idle(back, back + 40 * SECOND)
    log.add(back + 40 * SECOND, line(READER, 60 * SECOND, exchange("a")), line(READER, back, ANYTHING))

    assert log.alarms == []
    log.add(back + 41 * SECOND, said(back + 41 * SECOND, token("b", back + 40 * SECOND)))
    assert log.idle(back + 45 * SECOND, back + 41 * SECOND + reconciliation.AFTER_A_PAUSE).causes == [("silent", "b")]


def resumed(log: Log, *, whole: bool, after: int = 0) -> tuple[reconciliation.Reconciliation, list[Alarm | Counts]]:
    """A ledger that starts again, and what it has missed."""
    again = reconciliation.Reconciliation(REGISTRY, LEDGER, whole=whole)
    return again, again.missing_alarms(log.leaves[after:])


def test_a_restart_repeats_no_alarm_that_is_on_record_and_raises_those_that_are_not() -> None:
    log = Log().idle(0, 60 * SECOND).add(61 * SECOND, said(61 * SECOND, A, B))
    log.idle(65 * SECOND, LONG)
    assert log.causes == [("silent", "a"), ("silent", "b")]
    log.add(LONG, line(LEDGER, LONG, log.alarms[0]))

    again, missed = resumed(log, whole=True)

    assert missed == log.alarms[1:]
    log.compared = again
    log.add(LONG + SECOND, line(LEDGER, LONG, missed[0]), line(READER, 60 * SECOND, exchange("b")))
    assert log.causes[2:] == [("explained", "b")]


def test_what_may_have_its_counterpart_before_the_leaves_that_are_read_again_is_no_alarm() -> None:
    log = Log().add(SECOND, line(READER, SECOND, exchange("a")), said(SECOND, token("b", SECOND)))
    seen = len(log.leaves)
    log.add(2 * SECOND, said(2 * SECOND, token("a", SECOND)), line(READER, 2 * SECOND, exchange("b")))
    log.compared, missed = resumed(log, whole=False, after=seen)
    log.alarms = []

    assert (missed, log.idle(5 * SECOND, LONG).alarms) == ([], [])
    log.add(LONG, said(LONG, token("c", LONG - SECOND)))
    assert log.idle(LONG + SECOND, 2 * LONG).causes == [("silent", "c")]


def test_no_other_party_can_have_the_log_wait_longer_by_the_time_that_it_says() -> None:
    log = Log().idle(0, 60 * SECOND).add(61 * SECOND, said(61 * SECOND, A))
    for at in range(61, 100):
        log.add(at * SECOND, line(READER, 0, ANYTHING))

    assert log.causes == [("silent", "a")]


def test_a_record_that_is_a_little_late_is_no_pause() -> None:
    log = Log().idle(0, 60 * SECOND).add(61 * SECOND, said(61 * SECOND, A))
    for at in range(62, 62 + reconciliation.SILENT // SECOND):
        log.add(at * SECOND, line(REGISTRY, at * SECOND - reconciliation.HELD_UP, ANYTHING))

    assert log.causes == [("silent", "a")]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for bound in "MOST", "MOST_KINDS", "MOST_ATTEMPTS":
        monkeypatch.setattr(reconciliation, bound, 10)
    log = Log()
    for number in range(100):
        at = number * SECOND // 10
        lost = exchange(None, reason="issuer_unavailable")
        other = replace(lost, principal=replace(CALLER, subject=f"user{number}"))
        made = [line(READER, at, one) for one in (lost, other, exchange(f"j{number}"))]
        log.add(at, *made, said(at, token(f"i{number}", at)))

    kept = log.compared._parties[READER]
    sizes = [len(kept.awaited), len(kept.journalled), len(kept.attempts), *map(len, kept.attempts.values())]
    assert max(sizes) <= 11


def test_nobody_is_accused_by_the_exchanges_that_another_invents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "MOST", 10)
    monkeypatch.setattr(reconciliation, "MOST_KINDS", 10)
    lost = exchange(None, reason="issuer_unavailable")
    others = [replace(lost, principal=replace(CALLER, subject=f"user{number}")) for number in range(20)]
    log = Log().add(SECOND, line(READER, SECOND, exchange("a")), line(READER, SECOND, lost))
    log.add(2 * SECOND, *(line(WRITER, LONG, exchange(f"w{number}")) for number in range(20)))
    log.add(2 * SECOND, *(line(WRITER, 2 * SECOND, one) for one in others))
    log.add(3 * SECOND, said(3 * SECOND, token("a", SECOND), token("b", SECOND)))
    log.add(20 * SECOND, line(READER, 20 * SECOND, ANYTHING)).idle(21 * SECOND, LONG)

    assert {alarm.party for alarm in log.alarms} == {WRITER}


def test_an_exchange_without_a_known_end_explains_none_after_its_delivery() -> None:
    lost = line(READER, 100 * SECOND, exchange(None, reason="issuer_unavailable"))
    log = Log().idle(0, 60 * SECOND).add(60 * SECOND, lost)
    log.add(101 * SECOND, said(101 * SECOND, token("b", 99 * SECOND)))

    assert log.add(115 * SECOND, line(READER, 115 * SECOND, ANYTHING)).causes == [("unexplained", "b")]


def test_the_registry_cannot_know_yet_what_the_issuer_will_do() -> None:
    log = Log().idle(0, 60 * SECOND).add(60 * SECOND, said(LONG, at=60 * SECOND))
    log.add(61 * SECOND, line(READER, 61 * SECOND, exchange("a")))
    log.add(62 * SECOND, said(62 * SECOND, token("a", 61 * SECOND)))

    assert log.idle(65 * SECOND, LONG).alarms == []


def test_of_many_alarms_of_one_cause_about_one_party_the_first_are_told_and_the_others_counted() -> None:
    many = [line(READER, 60 * SECOND, exchange(f"r{number}")) for number in range(reconciliation.IN_FULL + 5)]
    log = Log().idle(0, 60 * SECOND).add(61 * SECOND, *many, line(WRITER, 60 * SECOND, exchange("w")))
    log.add(75 * SECOND, said(75 * SECOND))
    assert len(log.alarms) == reconciliation.IN_FULL + 1
    assert log.alarms[-1].party == WRITER  # nobody's alarms hide those of another
    assert log.counts == []

    log.add(119 * SECOND, said(119 * SECOND)).add(180 * SECOND, said(180 * SECOND))
    more = Repeated(operation=reconciliation.COUNTED, reason="unknown", times=5, party=READER)
    assert log.counts == [Counts(repeated=(more,))]
    assert log.idle(181 * SECOND, 400 * SECOND).counts == log.counts
    told: list[Alarm | Counts] = [*log.alarms, *log.counts]
    assert resumed(log, whole=True)[1] == told
    for number, alarm in enumerate(told):
        log.add((401 + number) * SECOND, line(LEDGER, 400 * SECOND, alarm))
        assert resumed(log, whole=True)[1] == told[number + 1 :]


@dataclass(frozen=True)
class Made:
    """One exchange, and how late each side is told: all of it within what is usual."""

    at: int
    answered: int
    told: int
    delivered: int


MADE = st.builds(
    Made,
    at=st.integers(0, 60 * SECOND),
    answered=st.integers(0, 9 * SECOND),
    told=st.integers(0, 5 * SECOND),
    delivered=st.integers(0, 2 * SECOND),
)


def played(made: list[Made], missing: Callable[[str], bool] = lambda _: False) -> Log:
    """A busy log with these exchanges; `missing` says which side of which one is left out: `journal 3`, `issuer 3`."""
    arrivals: list[tuple[int, bytes]] = []
    for number, one in enumerate(made):
        if not missing(f"issuer {number}"):
            arrivals.append((one.at + one.told, b"%d" % number))
        if not missing(f"journal {number}"):
            written = one.at + one.answered
            arrivals.append((written + one.delivered, line(READER, written, exchange(f"t{number}"))))
    log, now = Log(), 0
    while now < 100 * SECOND:
        now += SECOND
        new = [leaf for at, leaf in arrivals if now - SECOND <= at < now]
        tokens = [token(f"t{leaf.decode()}", made[int(leaf)].at) for leaf in new if leaf.isdigit()]
        log.add(now, said(now, *tokens), *(leaf for leaf in new if not leaf.isdigit()), line(READER, now, ANYTHING))
    return log


@given(st.lists(MADE, max_size=8))
def test_whatever_is_as_late_as_usual_is_no_alarm(made: list[Made]) -> None:
    assert played(made).alarms == []


def test_what_is_waited_for_is_longer_than_parties_try() -> None:
    assert LONGEST_PAUSE * MICROSECONDS < reconciliation.AFTER_A_PAUSE
    assert SECONDS * MICROSECONDS < reconciliation.LATER < reconciliation.SILENT


def test_what_no_alarm_can_name_is_not_compared() -> None:
    log = Log().add(
        SECOND,
        *(line(READER, SECOND, exchange(name)) for name in ("a b", "", "a\n", "a", "a" * (reconciliation.LONGEST + 1))),
    )
    caller = replace(CALLER, subject="a" * (reconciliation.LONGEST + 1))
    log.add(SECOND, line(READER, SECOND, replace(exchange("b"), principal=caller)))

    assert log.idle(5 * SECOND, LONG).causes == [("unknown", "a")]
