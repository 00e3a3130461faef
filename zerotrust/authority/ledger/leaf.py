"""The leaves of the audit log: lines of journals, and where all journals stand.  Pure.

A line is in the log as it is in the journal, byte for byte.  Each batch ends with a leaf of the ledger itself, which
has the heads of all journals.  So the last leaf shows where the log stands, and a start reads no other.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from zerotrust.audit.event import AuditEvent
from zerotrust.audit.record import Link, event_of, link_of

_HEADS = b'{"heads":'
_SERVICE = re.compile(r"spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)+")
_HASH = re.compile(r"[0-9a-f]{64}")


_OUTLINE = re.compile(
    rb'\{"event":\{.*"schema":1,"service":"(spiffe://[\w./-]+)","time":[0-9]+(?:,"trace":\{[^{}]*\})?\},'
    rb'"n":([1-9][0-9]{0,15}),"prev":"([0-9a-f]{64})"\}'
)
"""Matches the end of a record.  No string can imitate it, because quotation marks in strings are escaped."""


@dataclass(frozen=True, slots=True)
class Heads:
    """Where each journal stands in the log, by the SPIFFE ID of its service."""

    journals: Mapping[str, Link]
    time: int
    """When the ledger wrote it: microseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Record:
    """A line of a journal.  The reader has to check that it continues its journal."""

    link: Link
    """Where the journal stands after it."""
    event: AuditEvent


class Outline(NamedTuple):
    """The place of a record in its journal, as the record says."""

    service: str
    number: int
    previous: str
    """The hash of the line before it."""


def heads_leaf(heads: Heads) -> bytes:
    """Return the leaf with the heads of all journals, in the canonical form of RFC 8785."""
    journals = {service: {"n": link.records, "sha256": link.head} for service, link in heads.journals.items()}
    return orjson.dumps({"heads": journals, "time": heads.time}, option=orjson.OPT_SORT_KEYS)


def leaf_of(entry: bytes) -> Heads | Record:
    """Return what a leaf says.  Raises `ValueError` if it is none that the ledger writes."""
    if is_heads(entry):
        return heads_of(entry)
    return Record(link_of(entry), event_of(entry))


def is_heads(entry: bytes) -> bool:
    """Return whether a leaf says that it has the heads of all journals."""
    return entry.startswith(_HEADS)


def heads_of(entry: bytes) -> Heads:
    """Return the heads of all journals.  Raises `ValueError` for anything else."""
    try:
        content = orjson.loads(entry)
        heads = Heads({service: _link(head) for service, head in content["heads"].items()}, content["time"])
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError("not the heads of journals") from error
    if any(not _SERVICE.fullmatch(service) for service in heads.journals):
        raise ValueError("heads name a journal without a service")
    if type(heads.time) is not int or heads.time < 0 or heads_leaf(heads) != entry:
        raise ValueError("heads of journals in another form than the ledger's")
    return heads


def outline(leaf: bytes) -> Outline | Heads:
    """Return the place of a record, or the heads of all journals.  Raises `ValueError` if the leaf is neither."""
    if record := _OUTLINE.fullmatch(leaf):
        return Outline(record[1].decode(), int(record[2]), record[3].decode())
    return heads_of(leaf)


def _link(head: dict[str, Any]) -> Link:
    number, digest = head["n"], head["sha256"]
    if type(number) is not int or number < 1 or not _HASH.fullmatch(digest):
        raise ValueError("not the head of a journal")
    return Link(number, digest)
