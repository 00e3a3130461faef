"""A record of a journal: one line, which names the line before it by its hash.  Pure."""

import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple

from zerotrust.audit.event import AuditEvent
from zerotrust.errors import ZeroTrustError

MAX_LINE = 65_535
"""Bytes of a record: the largest entry of a transparency log (C2SP tlog-tiles)."""

_RECORD = re.compile(rb'\{"event":(\{.*\}),"n":([1-9][0-9]*),"prev":"([0-9a-f]{64})"\}')


class Link(NamedTuple):
    """Where a chain stands: how many records it has, and the hash of the last."""

    records: int
    head: str


GENESIS = Link(0, "0" * 64)


class ChangedRecord(ZeroTrustError, ValueError):
    """A record is not what it was."""

    def __init__(self, number: int) -> None:
        """`number`: of the first such record."""
        super().__init__(f"record {number} was changed")
        self.number = number


def next_link(link: Link, line: bytes) -> Link:
    """Return where the chain stands after a line.  Raises `ChangedRecord` if the line does not continue it."""
    record = _RECORD.fullmatch(line)
    if not record or int(record[2]) != link.records + 1:
        raise ChangedRecord(link.records + 1)
    if record[3].decode() != link.head:
        raise ChangedRecord(max(link.records, 1))  # the record before is not the one that this line names
    return Link(link.records + 1, hash_of(line))


def hash_of(line: bytes) -> str:
    """Return the hash by which the next record names this record."""
    return hashlib.sha256(line).hexdigest()


def last_link(link: Link, chain: Iterable[bytes]) -> Link:
    """Return where the chain stands after these lines.  Raises `ChangedRecord`."""
    for line in chain:
        link = next_link(link, line)
    return link


def link_of(line: bytes) -> Link:
    """Return where the chain stands after a line, without a look at the one before.  Raises `ValueError`."""
    return Link(int(_match(line)[2]), hash_of(line))


def link_before(line: bytes) -> Link:
    """Return where the chain stood before a line, as that line says.  Raises `ValueError`."""
    record = _match(line)
    return Link(int(record[2]) - 1, record[3].decode())


def line_of(event: bytes, before: Link) -> bytes:
    """Return the line of a record; `event`: in canonical form; `before`: where the chain stands."""
    return b'{"event":%b,"n":%d,"prev":"%b"}' % (event, before.records + 1, before.head.encode())


def content_of(line: bytes) -> bytes:
    """Return the canonical bytes of a record's event.  Raises `ValueError` if the line is not a record."""
    return _match(line)[1]


def event_of(line: bytes) -> AuditEvent:
    """Return the event of a journal's line.  Raises `ValueError` if it is none of schema 1."""
    return AuditEvent.parse(content_of(line))


def _match(line: bytes) -> re.Match[bytes]:
    if not (record := _RECORD.fullmatch(line)):
        raise ValueError("not a record")
    return record
