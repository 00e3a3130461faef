"""The form of a line of a log."""

import json
import logging

from zerotrust.transport.logs import _JsonLines


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
