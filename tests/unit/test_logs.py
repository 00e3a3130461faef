"""The form of a line of a log, and how seldom a warning that repeats is logged."""

import json
import logging

from tests.support.door import Clock
from zerotrust.context import REQUEST, RequestContext
from zerotrust.transport.logs import MOST_REPEATED, SECONDS_REPEATED, _JsonLines, _Seldom


def warned(text: str, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("tests", level, "", 1, text, (), None)


def test_a_line_has_its_time_as_people_and_programs_read_it() -> None:
    record = warned("no SVID")
    record.created = 1795600000.25

    assert json.loads(_JsonLines().format(record)) == {
        "time": "2026-11-25T09:46:40.250000+00:00",
        "level": "WARNING",
        "logger": "tests",
        "event": "no SVID",
    }


def test_a_warning_that_repeats_is_logged_seldom_and_the_next_one_says_how_often() -> None:
    clock = Clock(0)
    seldom = _Seldom(clock)
    assert [seldom.filter(warned("no SVID")) for _ in range(3)] == [True, False, False]
    assert seldom.filter(warned("another one"))
    assert all(seldom.filter(warned("news", logging.INFO)) for _ in range(2))

    clock.now = SECONDS_REPEATED
    again = warned("no SVID")
    assert seldom.filter(again)
    assert json.loads(_JsonLines().format(again))["repeated"] == 2


def test_what_belongs_to_a_request_or_has_a_stack_trace_is_never_left_out() -> None:
    seldom = _Seldom(Clock(0))
    failed = logging.LogRecord("tests", logging.WARNING, "", 1, "failed", (), (ValueError, ValueError(), None))
    assert [seldom.filter(failed) for _ in range(2)] == [True, True]

    before = REQUEST.set(RequestContext())
    try:
        assert [seldom.filter(warned("refused")) for _ in range(2)] == [True, True]
    finally:
        REQUEST.reset(before)


def test_so_many_warnings_are_remembered_and_then_none() -> None:
    seldom = _Seldom(Clock(0))
    for number in range(MOST_REPEATED + 1):
        assert seldom.filter(warned(str(number)))

    assert len(seldom._logged) == 1
