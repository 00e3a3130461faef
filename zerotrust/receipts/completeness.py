"""Whether a log has a call, or a token, of the transaction that no receipt names (step 10).  Pure.

The journals of others are beyond the reach of a party that leaves one out: whoever it called has recorded the call.
A user's token may serve for several tasks.  What the log has in the trace of another answer at the front door belongs
to that answer; everything else of the transaction belongs to this one.  An answer with a proof calls nobody, so nothing
belongs to it.

A record is the word of its author, who is named: an exchange, of the party that calls; an admitted call, of the party
that was called.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Trace
from zerotrust.audit.event_types import Exchange, Outcome, Request
from zerotrust.audit.forms import MICROSECONDS
from zerotrust.audit.leaf import heads_of, is_heads
from zerotrust.audit.record import event_of
from zerotrust.receipts.failure import EndsBefore, Unproven
from zerotrust.receipts.logged import LONGEST_TASK
from zerotrust.receipts.opened import Opened, each

LATE = 45
"""Seconds for which a record may come late into the log: parties deliver again within 30 s after the log was away."""

PROOF = "GET /receipts/"
"""The operation of a request for a proof, up to the receipt's digest."""
_SPAN = re.compile(rb'"span_id":"([0-9a-f]{16})"')


@dataclass(frozen=True, slots=True)
class _Call:
    """An admitted call of the transaction, as the log has it."""

    service: str
    caller: str
    operation: str
    trace: str
    root: bool
    """Whether with a token that a user signed in for."""
    receipts: list[str | None] = field(default_factory=list)
    """The digest that its outcome names; empty as long as no outcome was read."""


class Compared(NamedTuple):
    """What a log says of a transaction."""

    others: int
    """How many other answers the front door gave in it, whose calls are theirs; a proof that was asked for is one."""
    operations: tuple[str, ...]
    """What these answered, as the front door has recorded it: method and path, in the order of the log."""
    until: int
    """When the last batch was written that was read; 0 if none was.  Times are seconds since the epoch."""
    over: int
    """From when on no record of the task can come into the log: its tokens have ended, and what is late is there."""
    complete: bool
    """Whether the log was read up to then."""


def check_complete(root: Opened, leaves: Iterable[bytes]) -> Compared:
    """Compare receipts with a log.

    `leaves`: all of them, verified, in order.  Raises `Unproven` if the log has more of this answer than its receipts.
    """
    calls, exchanges, until = _read(root.receipt.txn, leaves)
    own = {one.digest for one in each(root)}

    def is_answer(call: _Call) -> bool:  # any other party's journal may have invented ones
        return call.root and call.service == root.signer

    answers = [*filter(is_answer, calls)]
    if not (this := next((call for call in answers if root.digest in call.receipts), None)):
        if until < (over := root.receipt.iat + LATE):
            raise EndsBefore(until, root.receipt.iat, over)
        raise Unproven(10, root.signer, "the log does not have this call of it")
    here = root.receipt.id.partition("-")[0]
    elsewhere = {call.trace for call in answers if not asks_for_proof(call.operation)} - {here}
    named = {(one.signer, asked.token) for one in each(root) for asked in one.receipt.calls}
    for service, trace, exchange in exchanges:
        if trace in elsewhere or (service, exchange.token_id) in named:  # control: log-exchange-on-receipt
            continue
        raise Unproven(10, service, f"it exchanged a token for {exchange.audience}, and no receipt says so")
    for call in calls:
        of_another = is_answer(call) or call.trace in elsewhere
        if of_another or own.intersection(call.receipts):  # control: log-call-on-receipt
            continue
        raise Unproven(10, call.service, f"it says that {call.caller} called it, and no receipt says so")
    over = root.receipt.began + LONGEST_TASK + LATE  # the user's token was issued before the call
    others = tuple(call.operation for call in answers if call is not this)
    return Compared(len(others), others, until, over, complete=until >= over)  # control: export-not-too-early


def asks_for_proof(operation: str) -> bool:
    """Whether a request was for the proof of a receipt."""
    return operation.startswith(PROOF)


def _read(txn: str, leaves: Iterable[bytes]) -> tuple[list[_Call], list[tuple[str, str, Exchange]], int]:
    """Return what the log has of a transaction, the admitted calls and the tokens that were issued; and until when."""
    marked, calls, exchanges = txn.encode(), dict[tuple[str, Trace], _Call](), list[tuple[str, str, Exchange]]()
    spans, heads = set[bytes](), b""
    for line in leaves:
        heads = line if is_heads(line) else heads
        span = _SPAN.search(line)
        if not span or (marked not in line and span[1] not in spans):
            continue
        event = event_of(line)
        assert event.trace is not None  # noqa: S101 - for the type checker: it has a span
        key, data = (event.service, event.trace), event.data
        if isinstance(data, Request) and data.decision.allowed and data.principal and data.principal.transaction == txn:
            calls[key] = _call(event, data)
            spans.add(span[1])
        elif isinstance(data, Exchange) and data.token_id and data.principal.transaction == txn:
            exchanges.append((event.service, event.trace.trace_id, data))
        elif isinstance(data, Outcome) and key in calls:
            calls[key].receipts.append(data.receipt)
    return list(calls.values()), exchanges, heads_of(heads).time // MICROSECONDS if heads else 0


def _call(event: AuditEvent, data: Request) -> _Call:
    assert event.trace is not None  # noqa: S101 - as above
    assert data.principal is not None  # noqa: S101 - as above
    caller = data.peer.id if data.peer else data.principal.party
    return _Call(event.service, caller, str(data.operation), event.trace.trace_id, root=not data.principal.lineage)
