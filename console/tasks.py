"""The tasks in the records, hop by hop.  Pure.

A task begins with a record of the party that people call, and belongs to the user in that record.  Each other record of
its trace belongs to it only if its token comes from the same sign-in of the same user: any party can write another
one's trace into its own journal.  A record without a token belongs to the request of its span.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from console.hops import Known, hop_of
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Caller
from zerotrust.audit.event_types import Outcome, Request
from zerotrust.authority.log.leaf import Record, leaf_of
from zerotrust.decision import Resource
from zerotrust.limits.bounded import Bounded

MOST_RECORDS = 20_000
"""Records of all tasks: some 40 MB."""
MOST_EARLY = 2_000
"""Records of traces of which the beginning has not come yet: it comes within a second."""
MOST_OF_A_PARTY = 500
"""Records of one party in a task: a call of the documents tool has six."""


@dataclass(slots=True, eq=False)
class Task:
    """What one request of a user led to."""

    id: str
    """Its trace."""
    owner: str
    transaction: str
    """The id of the user's token."""
    began: int
    """In microseconds since the epoch."""
    span: tuple[str, str]
    """The party that people call, and its span of the request."""
    ended: bool
    """Whether that party has refused the task, or answered it."""
    started_as: str | None
    """The trace under which this console sent it, if it did."""
    tokens: dict[str, Caller] = field(default_factory=dict)
    """By their ids, as the parties say that they are for: only these have verified them."""
    _hops: list[dict[str, Any]] = field(default_factory=list)
    """In the order of the log."""
    _spans: set[tuple[str, str]] = field(default_factory=set)
    _of_party: Counter[str] = field(default_factory=Counter)

    def add(self, number: int, event: AuditEvent, known: Known) -> bool:
        """Add a record, and return whether it is a hop of this task."""
        span = event.service, event.trace.span_id if event.trace else ""
        token: Caller | None = getattr(event.data, "principal", None)
        same = token and (token.subject, token.transaction) == (self.owner, self.transaction)
        if token and not same:  # control: hop-of-its-task
            return False
        if not token and span not in self._spans:  # control: hop-of-a-known-span
            return False
        self._of_party[event.service] += 1
        if self._of_party[event.service] > MOST_OF_A_PARTY:  # control: records-of-a-party-bounded
            return False
        if token:
            self._spans.add(span)
            if token.audience == event.service:
                self.tokens.setdefault(token.token_id, token)
        if hop := hop_of(event, self.tokens, known):
            self._hops.append({"n": number, **hop})
        self.ended |= isinstance(event.data, Outcome) and span == self.span
        return hop is not None

    def hops(self, *, after: int = -1, explained: bool = False) -> list[dict[str, Any]]:
        """Return the hops as JSON, each with its number in the log as `n`.

        `after`: only those with a higher number.  `explained`: with the details of refusals.
        """
        hops = [{**hop} for hop in self._hops[bisect_right(self._hops, after, key=lambda hop: hop["n"]) :]]
        if not explained:  # control: details-for-operators
            for hop in hops:
                hop.pop("detail", None)
        return hops

    @property
    def decided(self) -> list[bool]:
        """All decisions: whether they were a yes."""
        return [hop["allowed"] for hop in self._hops if "allowed" in hop]


T = TypeVar("T")


class Shares(Generic[T]):
    """Traces of several holders, of so many records in all: one more replaces the oldest of whoever has the most."""

    def __init__(self, most: int) -> None:
        self._most, self._size, self._of_trace = most, Counter[str](), Counter[tuple[str, str]]()
        self.of: dict[str, dict[str, T]] = {}

    def find(self, id_: str) -> T | None:
        return next((own[id_] for own in self.of.values() if id_ in own), None)

    def grow(self, holder: str, id_: str, one: T) -> None:
        """Keep a trace that has one record more now."""
        self.of.setdefault(holder, {})[id_] = one
        self._size[holder] += 1
        self._of_trace[holder, id_] += 1
        while self._size.total() > self._most:
            largest = max(self._size, key=self._size.__getitem__)  # control: share-of-an-owner
            self.drop(largest, next(iter(self.of[largest])))

    def drop(self, holder: str, id_: str) -> T:
        one = self.of[holder].pop(id_)
        self._size[holder] -= self._of_trace.pop((holder, id_))
        if not self.of[holder]:
            del self.of[holder], self._size[holder]
        return one


class Tasks:
    """The latest tasks."""

    def __init__(self, front: str, console: str, known: Callable[[], Known]) -> None:
        """`front`: the SPIFFE ID of the party that people call; `console`: our own; `known`: what explains records."""
        self._front, self._console, self._known = front, console, known
        self._begun = Shares[Task](MOST_RECORDS)
        self._waiting = Shares[list[tuple[int, AuditEvent]]](MOST_EARLY)
        """By the party that wrote them: none displaces the records of another one."""
        self._started = Bounded[str, str](MOST_RECORDS)
        """The trace of a task, by that under which this console sent it."""

    def take(self, number: int, entry: bytes) -> None:
        """Take an entry of the log.  What is no record of this schema is nobody's task."""
        try:
            leaf = leaf_of(entry)
        except ValueError:
            return
        if not isinstance(leaf, Record) or not leaf.event.trace or leaf.event.service == self._console:
            return
        event, id_ = leaf.event, leaf.event.trace.trace_id
        if begun := self._begun.find(id_):
            self._add(begun, [(number, event)])
        elif task := self._beginning(event):
            own = [self._waiting.drop(party, id_) for party, all_ in [*self._waiting.of.items()] if id_ in all_]
            before = sorted((one for some in own for one in some), key=lambda one: one[0])
            self._add(task, [*before, (number, event)])
            if task.started_as:
                self._started[task.started_as] = id_
        elif getattr(event.data, "principal", None) or id_ in self._waiting.of.get(event.service, ()):
            waiting = self._waiting.of.get(event.service, {}).get(id_, [])
            waiting.append((number, event))
            self._waiting.grow(event.service, id_, waiting)

    def _add(self, to: Task, events: Iterable[tuple[int, AuditEvent]]) -> None:
        known = self._known()
        for number, event in events:
            if to.add(number, event, known):
                self._begun.grow(to.owner, to.id, to)

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
            span=(event.service, trace.span_id),
            ended=not data.decision.allowed,
            started_as=trace.caller_trace_id if ours else None,
        )

    def find(self, id_: str) -> Task | None:
        """Return the task with this trace, or the one that this console sent under it."""
        return self._begun.find(self._started.get(id_, id_))

    @property
    def owners(self) -> set[str]:
        """Everybody who has tasks here."""
        return {*self._begun.of}

    def latest(self, owners: Iterable[str]) -> list[Task]:
        """Return the tasks of these users, the newest first."""
        found = [one for owner in owners for one in self._begun.of.get(owner, {}).values()]
        return sorted(found, key=lambda task: task.began, reverse=True)


def as_resource(task: Task) -> Resource:
    """Return a task as the policies know it."""
    return Resource("Task", task.id, (("owner", task.owner),))
