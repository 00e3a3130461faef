"""A journal is what its service delivered to the log, or the service is at fault."""

import pytest

from evidence.fault import Fault, LoggedRecords, compare
from tests.support.audit_log import SERVICES, record
from zerotrust.audit.record import GENESIS, Link, hash_of

SERVICE = SERVICES[0]


def journal(count: int) -> list[bytes]:
    link, found = GENESIS, list[bytes]()
    for _ in range(count):
        found.append(line := record(SERVICE, link))
        link = Link(link.records + 1, hash_of(line))
    return found


LINES = journal(9)


def delivered() -> LoggedRecords:
    found = LoggedRecords(SERVICE)
    for number, line in enumerate(LINES[:6], 1):
        found.add(10 * number, hash_of(line))
    return found


def fault(lines: list[bytes], first: int = 1) -> Fault:
    found, _ = compare(delivered(), lines, first)
    assert found
    assert (found.who, found.party) == (SERVICE, SERVICE)
    return found


def test_a_journal_that_was_delivered_may_go_on() -> None:
    assert compare(delivered(), LINES[:6]) == (None, 0)
    assert compare(delivered(), LINES) == (None, 3)


def test_it_may_begin_later_once_its_segments_were_delivered() -> None:
    assert compare(delivered(), LINES[3:], 4) == (None, 3)
    assert fault(LINES[3:], 3).record == 3
    assert fault(LINES[1:]).record == 1


@pytest.mark.parametrize("at", range(6))
def test_a_record_that_is_another_than_was_delivered_is_named(at: int) -> None:
    lines = list(LINES)
    lines[at] = lines[at].replace(b"health", b"hidden")
    found = fault(lines)
    assert (found.what, found.record, found.leaf) == ("changed", at + 1, 10 * (at + 1))


def test_what_is_no_record_or_one_of_another_service_is_named() -> None:
    for line in b"x", LINES[4], record(SERVICES[1], GENESIS):
        found = fault([*LINES[:2], line, *LINES[3:]])
        assert (found.what, found.record, found.leaf) == ("changed", 3, 30)


def test_a_journal_whose_end_was_cut_off_is_named() -> None:
    for count in range(6):
        found = fault(LINES[:count])
        assert (found.what, found.record, found.leaf) == ("truncated", count + 1, 10 * (count + 1))


def test_a_broken_chain_behind_what_was_delivered_is_named() -> None:
    found = fault([*LINES[:7], record(SERVICE, Link(7, "1" * 64)), LINES[8]])
    assert (found.what, found.record, found.leaf) == ("changed", 7, None)
    found = fault([*LINES[:6], record(SERVICE, Link(6, "1" * 64))])
    assert (found.what, found.record, found.leaf) == ("changed", 7, None)


def test_behind_what_was_delivered_a_journal_is_still_one_services() -> None:
    """With the right hash of the record before."""
    for line in record(SERVICES[1], Link(6, hash_of(LINES[5]))), record(SERVICE, Link(6, hash_of(LINES[5])), number=8):
        found = fault([*LINES[:6], line])
        assert (found.what, found.record) == ("changed", 7)
