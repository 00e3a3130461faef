"""The query of `zt audit show`, and the records that match it.  Pure."""

import heapq
import re
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_types import Access, Alarm, Exchange, Issued, Outcome, Refusal, RegistryChange, UntrustedPeer
from zerotrust.audit.record import event_of
from zerotrust.authority.names import IDS, short

MOST_SHOWN = 10_000
"""Records that are shown, of all who wrote them together."""

MOST_UNDER_WAY = 1_000
"""Calls of one author whose outcome is looked for at a time: an outcome follows its call, and fewer are under way."""

_TRACE = r"[0-9a-f]{32}"
_NAMED = re.compile(r"(user|party|document):([\x21-\x7e]{1,200})")
_FOLLOWING = b'"type":"outcome"', b'"type":"refusal"'


@dataclass(frozen=True, slots=True)
class Query:
    """A user, a party or a document by its name; a trace, a transaction, a token or a session by its id."""

    kind: Literal["id", "user", "party", "document"]
    name: str

    def matches(self, event: AuditEvent) -> bool:
        return self.name in _NAMES[self.kind](event)


@dataclass(frozen=True, slots=True)
class Records:
    """Records by time, the newest at the end."""

    events: list[AuditEvent]
    left_out: Mapping[str, int]
    """How many older records were left out, by author."""
    authors: Sequence[str] = ()
    """The author of each."""

    @property
    def omitted(self) -> int:
        return sum(self.left_out.values())


class NoRecordError(Exception):
    """A line is not a record of schema 1; the text names its place."""


def parse_query(text: str) -> Query | None:
    """Parse a query; return None if the text has none of its forms."""
    if named := _NAMED.fullmatch(text):
        kind: Literal["user", "party", "document"] = named[1]  # type: ignore[assignment]
        return Query(kind, short(named[2]) if kind == "party" else named[2])
    return Query("id", text) if re.fullmatch(f"{_TRACE}|{IDS}", text) else None


def named_author(_place: str, event: AuditEvent) -> str:
    """Return the author of a record of an audit log: the service that it names, as the log takes it from no other."""
    return short(event.service)


def find_records(
    records: Iterable[tuple[str, bytes]], what: Query, *, author: Callable[[str, AuditEvent], str] = named_author
) -> Records:
    """Return the records about something, and how each call that they are about ended or was refused.

    Over the limit, the author with the most records loses its oldest ones: authors choose their own timestamps, so a
    flood must not displace other authors' records.  `records`: the lines of journals, each with the place where it is.
    `author`: who wrote a record, by its place and what it says.  Raises `NoRecordError`, and what `records` raises.
    """
    newest: dict[str, list[tuple[int, int, AuditEvent]]] = defaultdict(list)
    left_out, name = Counter[str](), what.name.encode()
    under_way: dict[str, deque[str]] = defaultdict(partial(deque, maxlen=MOST_UNDER_WAY))
    for count, (place, line) in enumerate(records):
        if name not in line and not (under_way and any(kind in line for kind in _FOLLOWING)):
            continue
        try:
            event = event_of(line)
        except ValueError as error:
            raise NoRecordError(place) from error
        by, span = author(place, event), f"{event.service} {event.trace.span_id}" if event.trace else ""
        if what.matches(event):
            spans = under_way[by]
            spans.extend([span] if span and span not in spans else [])
        elif span not in under_way.get(by, ()) or not isinstance(event.data, Outcome | Refusal):
            continue
        heapq.heappush(newest[by], (event.time, count, event))
        if sum(map(len, newest.values())) > MOST_SHOWN:
            most = max(newest, key=lambda one: len(newest[one]))
            heapq.heappop(newest[most])
            left_out[most] += 1
    shown = sorted((*one, by) for by, ones in newest.items() for one in ones)
    return Records([event for _, _, event, _ in shown], left_out, [by for *_, by in shown])


def _ids(event: AuditEvent) -> set[str | None]:
    token = getattr(event.data, "principal", None)
    ids: set[str | None] = {event.trace.trace_id, event.trace.caller_trace_id} if event.trace else set()
    if token:
        ids |= {token.transaction, token.token_id, *token.lineage, token.session}
    match event.data:
        case Exchange() | Alarm():
            ids |= {event.data.token_id}
        case Issued():
            ids |= {one.token_id for one in event.data.tokens or ()}
    return ids


def _users(event: AuditEvent) -> set[str | None]:
    token = getattr(event.data, "principal", None)
    names: set[str | None] = {token.subject} if token else set()
    match event.data:
        case Alarm():
            names |= {event.data.subject}
        case Issued():
            names |= {one.subject for one in event.data.tokens or ()}
    return names | _targets(event)


def _parties(event: AuditEvent) -> set[str | None]:
    data, token, peer = event.data, getattr(event.data, "principal", None), getattr(event.data, "peer", None)
    names = {event.service} | ({peer.id} if peer else set())
    if token:
        names |= {token.party, token.client, token.audience, *token.actors}
    names |= {data.audience} if isinstance(data, Exchange) else set()
    names |= {data.party} if isinstance(data, UntrustedPeer | Alarm) else set()
    names |= {one.client for one in data.tokens or ()} if isinstance(data, Issued) else set()
    return {short(one) for one in names} | _targets(event)


def _documents(event: AuditEvent) -> set[str | None]:
    return {event.data.resource.name} if isinstance(event.data, Access) else set()


def _targets(event: AuditEvent) -> set[str | None]:
    """Return the target of a change at the registry, and its words: `user 4f1c…`."""
    return {event.data.target, *event.data.target.split()} if isinstance(event.data, RegistryChange) else set()


_NAMES: Mapping[str, Callable[[AuditEvent], set[str | None]]] = {
    "id": _ids,
    "user": _users,
    "party": _parties,
    "document": _documents,
}
