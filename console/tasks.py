"""The tasks in the records, hop by hop, as a page shows them.  Pure.

A task begins with a record of the party that people call, and belongs to the user in that record.  Each other record of
its trace belongs to it only if its token comes from the same sign-in of the same user: any party can write another
one's trace into its own journal.  A record without a token belongs to the request of its span.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Caller
from zerotrust.audit.event_types import Access, Exchange, Outcome, Refusal, Request, UntrustedPeer
from zerotrust.audit.forms import MICROSECONDS
from zerotrust.authority.log.leaf import Record, leaf_of
from zerotrust.limits.bounded import Bounded

MOST_TASKS = 1_000
"""Tasks that are kept; and traces of which the beginning has not come yet."""
MOST_OF_A_PARTY = 500
"""Records of one party in a trace: a call of the documents tool has six."""
DIGITS = 12
"""Of a digest of code that people are shown."""
ISSUER = "Keycloak"
LANES = {"orchestrator": 1, "agent": 2, "tool": 3, "inference": 4, "llamastack": 4, "authority": 5, ISSUER: 5}
"""The lane of a party, by the first part of its name; all others are people's clients, in lane 0."""


@dataclass(frozen=True, slots=True)
class Task:
    """What one request of a user led to."""

    id: str
    """Its trace."""
    owner: str
    transaction: str
    """The id of the user's token."""
    began: int
    """In microseconds since the epoch."""
    span: str
    allowed: bool
    started_as: str | None
    """The trace under which this console sent it, if it did."""


@dataclass(slots=True)
class _Trace:
    """The records of a trace, in the order of the log; each with its number."""

    task: Task | None = None
    events: list[tuple[int, AuditEvent]] = field(default_factory=list)
    of_party: Counter[str] = field(default_factory=Counter)

    def add(self, number: int, event: AuditEvent) -> None:
        self.of_party[event.service] += 1
        if self.of_party[event.service] <= MOST_OF_A_PARTY:  # control: records-of-a-party-bounded
            self.events.append((number, event))


class Tasks:
    """The latest tasks."""

    def __init__(self, front: str, console: str) -> None:
        """`front`: the SPIFFE ID of the party that people call; `console`: our own."""
        self._front, self._console = front, console
        self._begun, self._waiting = Bounded[str, _Trace](MOST_TASKS), Bounded[str, _Trace](MOST_TASKS)
        self._started = Bounded[str, str](MOST_TASKS)
        """The trace of a task, by that under which this console sent it."""

    def take(self, number: int, entry: bytes) -> None:
        """Take an entry of the log.  What is no record of this schema is nobody's task."""
        try:
            leaf = leaf_of(entry)
        except ValueError:
            return
        if not isinstance(leaf, Record) or not (trace := leaf.event.trace):
            return
        known = self._begun.get(trace.trace_id) or self._waiting.get(trace.trace_id)
        if known is None:
            known = self._waiting[trace.trace_id] = _Trace()
        known.add(number, leaf.event)
        if not known.task and (task := self._beginning(leaf.event)):
            known.task = task
            self._begun[task.id] = self._waiting.pop(task.id)
            if task.started_as:
                self._started[task.started_as] = task.id

    def _beginning(self, event: AuditEvent) -> Task | None:
        data, trace = event.data, event.trace
        if not (isinstance(data, Request) and trace and data.principal and data.permission == "task.run"):
            return None
        if event.service != self._front:  # control: task-begins-where-people-call
            return None
        ours = data.peer is not None and data.peer.id == self._console
        return Task(
            id=trace.trace_id,
            owner=data.principal.subject,
            transaction=data.principal.transaction,
            began=event.time,
            span=trace.span_id,
            allowed=data.decision.allowed,
            started_as=trace.caller_trace_id if ours else None,
        )

    def find(self, id_: str) -> Task | None:
        """Return the task with this trace, or the one that this console sent under it."""
        found = self._begun.get(self._started.get(id_, id_))
        return found.task if found else None

    def latest(self) -> list[Task]:
        """Return the tasks, the newest first."""
        return [one.task for one in reversed(self._begun.values()) if one.task]

    def ended(self, task: Task) -> bool:
        """Return whether the party that people call has refused the task, or answered it."""
        found = self._begun.get(task.id)
        here = [one for _, one in found.events if one.service == self._front] if found else []
        spans = {one.trace.span_id for one in here if one.trace and isinstance(one.data, Outcome)}
        return not found or not task.allowed or task.span in spans

    def hops(self, task: Task, *, after: int = -1, explained: bool = False) -> list[dict[str, Any]]:
        """Return the hops of a task as JSON, each with its number in the log as `n`.

        `after`: only those with a higher number.  `explained`: with the details of refusals.
        """
        found = self._begun.get(task.id)
        return [*_hops(task, found.events, explained=explained, after=after)] if found else []


def _hops(task: Task, events: list[tuple[int, AuditEvent]], *, explained: bool, after: int) -> Iterator[dict[str, Any]]:
    spans, scopes = set[tuple[str, str]](), dict[str, tuple[str, ...]]()
    for number, event in events:
        data, span = event.data, (event.service, event.trace.span_id if event.trace else "")
        token: Caller | None = getattr(data, "principal", None)
        if token and (token.subject, token.transaction) != (task.owner, task.transaction):  # control: hop-of-its-task
            continue
        if token:
            spans.add(span)
            scopes[token.token_id] = token.scopes
        elif span not in spans:  # control: hop-of-a-known-span
            continue
        if number > after and (hop := _hop(event, scopes)):
            if not explained:  # control: details-for-operators
                hop.pop("detail", None)
            yield {"n": number, **hop}


def _hop(event: AuditEvent, scopes: dict[str, tuple[str, ...]]) -> dict[str, Any] | None:
    """Return what one record tells, or None for a record that is no part of a task."""
    data, here = event.data, short(event.service)
    told: dict[str, Any]
    match data:
        case Request():
            sender = short(data.peer.id) if data.peer else data.principal.party if data.principal else "a user"
            told = _way(sender, here) | _told("call", data.operation, data, scopes)
        case Exchange():
            what = f"a token for {short(data.audience)}"
            told = _way(here, ISSUER) | _told("exchange", what, data, scopes) | {"new": _new_token(data)}
        case Access():
            told = _way(here, here) | _told("access", f"{data.operation} {data.resource.name}", data, scopes)
        case Refusal():
            told = _way(here, here) | _told("refusal", f"refused by {here}", data, scopes)
        case UntrustedPeer():
            told = _way(here, here) | _told("distrust", f"does not trust {short(data.party)}", data, scopes)
        case Outcome():
            told = {"kind": "ended", "ended": data.ended, "status": data.status, "took": data.duration / 1000}
        case _:
            return None
    span, code = event.trace.span_id if event.trace else "", (event.measurement or "")[:DIGITS]
    return {"at": event.time / MICROSECONDS, "span": span, "by": here, "code": code} | told


def _way(sender: str, receiver: str) -> dict[str, Any]:
    return {"from": sender, "to": receiver, "lanes": [lane(sender), lane(receiver)]}


def _told(
    kind: str,
    what: str,
    data: Request | Exchange | Access | Refusal | UntrustedPeer,
    scopes: dict[str, tuple[str, ...]],
) -> dict[str, Any]:
    decision, token = data.decision, getattr(data, "principal", None)
    told: dict[str, Any] = {
        "kind": kind,
        "what": what,
        "allowed": decision.allowed,
        "reason": decision.reason,
        "detail": decision.detail or "",
        "rules": (decision.policy.rules or ()) if decision.policy else (),
        "policy": decision.policy.version if decision.policy else "",
    }
    return told | ({"token": _token(token, scopes)} if token else {})


def _token(token: Caller, scopes: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return what a token says; `scopes`: those of the tokens before it."""
    parent = scopes.get(token.lineage[-1], ()) if token.lineage else ()
    return {
        "name": f"T{len(token.actors)}",
        "id": token.token_id,
        "for": short(token.audience),
        "scopes": token.scopes,
        "dropped": sorted({*parent} - {*token.scopes}),
        "ends": token.expires_at // MICROSECONDS,
    }


def _new_token(data: Exchange) -> dict[str, Any]:
    return {
        "name": f"T{len(data.principal.actors) + 1}",
        "id": data.token_id,
        "for": short(data.audience),
        "scopes": data.scopes,
        "dropped": sorted({*data.principal.scopes} - {*data.scopes}),
    }


def short(party: str) -> str:
    """Return a party's name without its trust domain."""
    return party.removeprefix("spiffe://").partition("/")[2] if party.startswith("spiffe://") else party


def lane(name: str) -> int:
    """Return the lane in which a party is drawn."""
    return LANES.get(name.partition("/")[0], 0)
