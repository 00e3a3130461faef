"""The lines of a journal as a party sends them: whose they are, and whether they continue what the log has."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from authorities.audit.reasons import AuditReason
from zerotrust.audit.event import misnamed_field
from zerotrust.audit.event_types import Alarm, Data, Issued, RegistryChange
from zerotrust.audit.record import GENESIS, MAX_LINE, ChangedRecord, Link, hash_of, link_before, next_link
from zerotrust.audit.tail import MOST_LINES
from zerotrust.authority.ledger.leaf import Record, leaf_of
from zerotrust.decision import Denied
from zerotrust.identity import MAX_ACTORS
from zerotrust.registry.model import Registry

Known = Callable[[int], Awaitable[bytes | None]]
"""Returns the line of this journal in the log, by its number; None if it is not found there."""

Writers = Mapping[type[Data], Collection[str]]
"""The only writers of a kind of records, by SPIFFE ID.  Every party may write the other kinds."""


def writers(registry: Registry) -> Writers:
    """Return the only writers of the authorities' records: alarms, Keycloak's issued tokens, and changes.  Pure."""
    own = registry.authorities
    changing = {registry.id(own.registry), registry.id(own.policy)}
    return {Alarm: {registry.id(own.audit)}, Issued: {registry.id(own.registry)}, RegistryChange: changing}


class SentLines(NamedTuple):
    """Lines of one journal, which are one chain."""

    before: Link
    lines: Sequence[bytes]
    link: Link
    """Where the journal stands after them."""


def parse_lines(body: bytes, service: str, only: Writers) -> SentLines:
    """Return the lines of a request, each a record of this service that continues the one before.  Pure.

    `only`: the only writers of a kind of records.

    Raises `Denied`: `journal_malformed` and `journal_of_another`.
    """
    *lines, rest = body.split(b"\n")
    if rest or not lines:
        raise Denied(AuditReason.JOURNAL_MALFORMED, "a line does not end")
    if len(lines) > MOST_LINES:
        raise Denied(AuditReason.JOURNAL_MALFORMED, f"more than {MOST_LINES} lines")
    for line in lines:
        _check_author(line, service, only)
    link = before = link_before(lines[0])
    try:
        for line in lines:
            link = next_link(link, line)
    except ChangedRecord as error:
        raise Denied(AuditReason.JOURNAL_MALFORMED, f"not one chain: {error}") from error
    if before.records == 0 and before != GENESIS:
        raise Denied(AuditReason.JOURNAL_MALFORMED, "its first record names one before it")
    return SentLines(before, lines, link)


def _check_author(line: bytes, service: str, only: Writers) -> None:
    try:
        if len(line) > MAX_LINE:
            raise ValueError("a record is too long")
        leaf = leaf_of(line)
    except ValueError as error:
        raise Denied(AuditReason.JOURNAL_MALFORMED, str(error)) from error
    if not isinstance(leaf, Record):
        raise Denied(AuditReason.JOURNAL_MALFORMED, "not a record")
    caller = getattr(leaf.event.data, "principal", None)
    # No token that is accepted has more.
    if caller and max(len(caller.actors), len(caller.lineage)) > MAX_ACTORS:  # control: delivered-chain-bounded
        raise Denied(AuditReason.JOURNAL_MALFORMED, f"a record's caller has more than {MAX_ACTORS} actors or ancestors")
    if field := misnamed_field(leaf.event):  # control: delivered-names-have-a-form
        raise Denied(AuditReason.JOURNAL_MALFORMED, f"{field} of a record does not have the form of a name")
    if leaf.event.service != service:  # control: journal-of-the-caller
        raise Denied(AuditReason.JOURNAL_OF_ANOTHER, f"a record of {leaf.event.service}")
    data = leaf.event.data
    if service not in only.get(type(data), {service}):  # control: authorities-words-their-own
        raise Denied(AuditReason.JOURNAL_OF_ANOTHER, f"a record of type {data.type}, which only an authority writes")


async def new_lines(given: SentLines, there: Link, known: Known) -> Sequence[bytes]:
    """Return the lines that the log does not have yet; `there`: where it stands with the journal.

    Raises `Denied`: `journal_elsewhere`, with where the log stands; and `journal_changed` if a line differs from that
    in the log.
    """
    before, lines, _ = given
    if before.records > there.records:
        raise _refusal(AuditReason.JOURNAL_ELSEWHERE, there, "lines between are left out")
    old = there.records - before.records
    if old > len(lines):
        last = await known(given.link.records)
        if last in (None, lines[-1]):
            raise _refusal(AuditReason.JOURNAL_ELSEWHERE, there, "it has these lines")
    else:
        same = (hash_of(lines[old - 1]) if old else before.head) == there.head  # control: journal-goes-on-from-the-log
        if same:
            return lines[old:]  # control: delivered-once
    raise _refusal(AuditReason.JOURNAL_CHANGED, there, "it has changed")


def _refusal(reason: AuditReason, there: Link, why: str) -> Denied:
    more = {"n": there.records, "sha256": there.head}
    return Denied(reason, f"the log has {there.records} records of this journal: {why}", more=more)
