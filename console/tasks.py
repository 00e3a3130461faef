"""The tasks in the records, hop by hop.  Pure.

A task begins with a record of the party that people call, and belongs to the user in that record.  Each other record of
its trace belongs to it only if its token comes from the same sign-in of the same user: any party can write another
one's trace into its own journal.  A record without a token belongs to the request of its span.
"""

from bisect import bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from console.hops import Known, hop_of
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Caller
from zerotrust.audit.event_types import Outcome, Request
from zerotrust.audit.record import event_of
from zerotrust.authority.names import short
from zerotrust.decision import Resource

MOST_BYTES = 16_000_000
"""Bytes of the records of all tasks: some 8,000 records.  In memory they take up more: up to 100 MB, measured with
records that a party fills with short names."""
MOST_EARLY = 200
"""Records of one party that wait for the beginning of their task, which comes within a second: at most 2 MB."""
MOST_OF_A_PARTY = 1_000_000
"""Bytes of the records of one party in a task: some 500 records.  A call of the documents tool has six."""


@dataclass(slots=True, eq=False)
class Task:
    """All hops of one request of a user."""

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
    tokens: dict[str, Caller] = field(default_factory=dict)
    """By their ids, as the parties say that they are for: only these have verified them."""
    _hops: list[dict[str, Any]] = field(default_factory=list)
    """In the order of the log."""
    _spans: set[tuple[str, str]] = field(default_factory=set)
    _bytes: Counter[str] = field(default_factory=Counter)
    """Bytes of each party's records."""

    @property
    def size(self) -> int:
        """Bytes of its records."""
        return self._bytes.total()

    def add(self, number: int, event: AuditEvent, size: int, known: Known) -> bool:
        """Add a record of so many bytes, and return whether it is one of this task."""
        span = event.service, event.trace.span_id if event.trace else ""
        token: Caller | None = getattr(event.data, "principal", None)
        same = token and (token.subject, token.transaction) == (self.owner, self.transaction)
        if token and not same:  # control: hop-of-its-task
            return False
        if not token and span not in self._spans:  # control: hop-of-a-known-span
            return False
        if self._bytes[event.service] + size > MOST_OF_A_PARTY:  # control: records-of-a-party-bounded
            return False
        self._bytes[event.service] += size
        if token:
            self._spans.add(span)
            if token.audience == event.service:
                self.tokens.setdefault(token.token_id, token)
        if hop := hop_of(event, self.tokens, known):
            self._hops.append({"n": number, **hop})
        self.ended |= isinstance(event.data, Outcome) and span == self.span
        return True

    def hops(self, *, after: int = -1, explained: bool = False) -> list[dict[str, Any]]:
        """Return the hops as JSON, each with its number in the log as `n`.

        `after`: only those with a higher number.  `explained`: with the details of refusals, and
        what the policies were told of the resource.
        """
        left_out = () if explained else ("detail", "facts")  # control: details-for-operators
        new = self._hops[bisect_right(self._hops, after, key=itemgetter("n")) :]
        return [{name: value for name, value in hop.items() if name not in left_out} for hop in new]

    @property
    def decided(self) -> list[bool]:
        """All decisions: whether they were a yes."""
        return [hop["allowed"] for hop in self._hops if "allowed" in hop]


class Tasks:
    """The latest tasks.  If there are too many, the oldest one of the user with the most is forgotten."""

    def __init__(self, front: str, console: str, known: Callable[[], Known]) -> None:
        """`front`: the SPIFFE ID of the party that people call; `console`: our own; `known`: what explains records."""
        self._front, self._console, self._known = front, console, known
        self._tasks = dict[str, Task]()
        """By their traces, the oldest first."""
        self._sizes = Counter[str]()
        """Bytes of the records of each user's tasks."""
        self._early = defaultdict[str, deque[tuple[str, int, bytes]]](lambda: deque(maxlen=MOST_EARLY))
        """Trace, number and entry of the latest records of no known task, by the party that wrote them."""

    def take(self, number: int, event: AuditEvent, entry: bytes) -> None:
        """Take a record, and the entry of the log that it is in."""
        known = self._known()
        if not event.trace or event.service == self._console or short(event.service) not in known.calls:
            return
        id_ = event.trace.trace_id
        task, before = self._tasks.get(id_), list[tuple[int, bytes]]()
        if task is None and (task := self._beginning(event)):
            self._tasks[id_] = task
            before = sorted((early, one) for own in self._early.values() for trace, early, one in own if trace == id_)
        if task is None:
            self._early[event.service].append((id_, number, entry))  # control: early-by-party
            return
        for at, one in [*before, (number, entry)]:
            if task.add(at, event_of(one), len(one), known):
                self._sizes[task.owner] += len(one)
        self._make_room()

    def _make_room(self) -> None:
        while self._sizes.total() > MOST_BYTES:
            largest = max(self._sizes, key=self._sizes.__getitem__)  # control: share-of-an-owner
            oldest = next(task for task in self._tasks.values() if task.owner == largest)
            del self._tasks[oldest.id]
            self._sizes -= Counter({largest: oldest.size})  # which drops users without any

    def _beginning(self, event: AuditEvent) -> Task | None:
        data, trace = event.data, event.trace
        if event.service != self._front:  # control: task-begins-where-people-call
            return None
        if not (isinstance(data, Request) and trace and data.principal and data.operation == "POST /tasks"):
            return None
        return Task(
            id=trace.trace_id,
            owner=data.principal.subject,
            transaction=data.principal.transaction,
            began=event.time,
            span=(event.service, trace.span_id),
            ended=not data.decision.allowed,
        )

    def find(self, id_: str) -> Task | None:
        """Return the task with this trace."""
        return self._tasks.get(id_)

    @property
    def owners(self) -> set[str]:
        """Everybody who has tasks here."""
        return {task.owner for task in self._tasks.values()}

    def latest(self, owners: Iterable[str]) -> list[Task]:
        """Return the tasks of these users, the newest first."""
        wanted = {*owners}
        found = [task for task in self._tasks.values() if task.owner in wanted]
        return sorted(found, key=lambda task: task.began, reverse=True)


def as_resource(task: Task) -> Resource:
    """Return a task as the policies know it."""
    return Resource("Task", task.id, (("owner", task.owner),))
