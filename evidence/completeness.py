"""Finds the calls and tokens of a transaction that a log has, and no receipt names (step 10).  Pure.

A party that leaves a receipt out cannot change the journals of others: the party that it called has recorded the call.
A user's token may serve for several answers.  The lineage of a call's token, which the issuer has signed, shows to
which of them the call belongs.  The front door got the token next to the root for an answer.  A trace
proves nothing, because each party tells the next one what it likes.

A record is the word of its author, whom the error names: of the caller for an exchange, of the called party for an
admitted call.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from evidence.signing_time import LONGEST_TASK
from evidence.unproven import SOMEBODY, Unproven
from evidence.verified_receipt import VerifiedReceipt, receipts_in
from zerotrust.audit.event_parts import Caller, Trace
from zerotrust.audit.event_types import Exchange, Outcome, Refusal, Request
from zerotrust.audit.forms import MICROSECONDS
from zerotrust.audit.record import event_of
from zerotrust.authority.ledger.leaf import heads_of, is_heads

LATE = 45
"""Seconds for which a record may come late into the log: parties deliver again within 30 s after the log was away."""

AGAIN = 90
"""Seconds after which the ledger records anew that a party is above its share (`authorities/audit/app.py`
`ALARM_EVERY`, and the longest pause between two deliveries)."""
TOO_FAST, CHANGED = "journal_too_fast", "journal_changed"
"""The reasons for which the ledger does not take a journal: not now, and not at all, because the log has another."""

PROOF = "GET /receipts/"
"""The operation of a request for a proof, up to the receipt's digest."""
_SPAN = re.compile(rb'"span_id":"([0-9a-f]{16})"')

_Request = tuple[str, Trace]
"""Which request at which service; all its records name it."""


class _End(NamedTuple):
    """How a call ended, and in which leaf that is."""

    leaf: int
    complete: bool
    """Whether its answer went out to the end."""
    receipt: str | None


@dataclass(frozen=True, slots=True)
class _Call:
    """An admitted call of the transaction, as the log has it."""

    service: str
    caller: str
    operation: str
    lineage: tuple[str, ...]
    """The ids of its token and of those that it was exchanged from, the root first."""
    ends: list[_End] = field(default_factory=list)
    """Empty as long as no outcome was read."""

    @property
    def receipts(self) -> set[str]:
        """The digests that its outcome names."""
        return {end.receipt for end in self.ends if end.receipt}

    @property
    def may_have_called(self) -> bool:
        """Whether calls may belong to it: a proof that went out to its end has none.

        Any other answer may have been too long for a receipt, or have made more calls than one names.
        """
        proof = self.operation.startswith(PROOF) and not self.receipts
        return not (proof and any(end.complete for end in self.ends))


class _FirstExchange(NamedTuple):
    """A token that the front door got with a root token, by its own record: for which request, and in which leaf."""

    by: _Request
    leaf: int


@dataclass(frozen=True, slots=True)
class _LoggedTransaction:
    """A log's account of a transaction."""

    calls: dict[_Request, _Call] = field(default_factory=dict)
    exchanges: list[tuple[str, tuple[str, ...], Exchange]] = field(default_factory=list)
    """Each with its service, and the lineage of the new token."""
    not_taken: dict[str, set[str]] = field(default_factory=lambda: {TOO_FAST: set(), CHANGED: set()})
    """The parties whose journals the ledger did not take, and may still not take, by its reason."""
    got: dict[str, _FirstExchange] = field(default_factory=dict)


class Comparison(NamedTuple):
    """A log's account of other answers in the same transaction."""

    others: int
    """How many other answers the front door gave in it, which were not compared; a proof that was asked for is one."""
    operations: tuple[str, ...]
    """The requests of these answers, as the front door has recorded them: method and path, in the order of the log."""
    undecided: tuple[str, ...]
    """Those of them to which calls may belong that are in no receipt: their own receipts decide it.  One that was cut
    off has brought no client its receipts."""
    late: tuple[str, ...]
    """Parties that were above their share at the ledger during the task: their records may come at any later time."""
    changed: tuple[str, ...]
    """Parties that delivered another journal than before during the task: their records of the task may never come."""
    until: int
    """When the last batch was written that was read; 0 if none was.  Times are seconds since the epoch."""
    over: int
    """When the last record of the task can have come: its tokens have expired, and late records are there."""
    complete: bool
    """Whether each call is in a receipt or belongs to another answer, and all records up to then were read."""


def check_complete(roots: Sequence[VerifiedReceipt], leaves: Iterable[bytes], ledger: str | None) -> Comparison:
    """Compare receipts with a log.

    `roots`: the trees of one answer or more, of one front door in one transaction.  `leaves`: all of them, verified, in
    order.  `ledger`: see `Accepted`.  Raises `Unproven` if the log has calls of these answers that no receipt names.
    """
    first, *_ = roots
    door, txn = first.signer, first.receipt.txn
    over = first.receipt.began + LONGEST_TASK + LATE  # the user's token was issued before the call
    times = min(root.receipt.began for root in roots) - AGAIN, over
    said, until = _read(txn, door, leaves, ledger, times)
    away = said.not_taken[TOO_FAST] | said.not_taken[CHANGED]

    def whole(party: str) -> bool:
        """Return whether all records of a party for this task are in the log."""
        return until >= over and party not in away

    answers = {key: call for key, call in said.calls.items() if key[0] == door and len(call.lineage) == 1}
    for root in roots:
        if any(root.digest in call.receipts for call in answers.values()):
            continue
        if until < (due := root.receipt.iat + LATE) or door in away:
            early = f"{due - until:,} s before it has to have this answer" if until < due else "while its journal waits"
            raise Unproven(10, SOMEBODY, f"the log that was compared ends {early}: export it again")
        raise Unproven(10, door, "the log does not have this call of it")
    mine = {root.digest for root in roots}
    others = {key: call for key, call in answers.items() if not mine & call.receipts}
    receipts = [one for root in roots for one in receipts_in(root)]
    named = {(one.signer, asked.token) for one in receipts for asked in one.receipt.calls}
    used = {asked.token for root in roots for asked in root.receipt.calls if asked.request}
    own, undecided = {one.digest for one in receipts}, set[_Request]()

    def belongs_here(lineage: Sequence[str]) -> bool:
        """Return whether a call or a token of this lineage can belong to these answers only."""
        token = lineage[1] if len(lineage) > 1 else ""
        if not (got := said.got.get(token)):
            return whole(door)  # before, its record of that may still come
        # control: call-belongs-by-lineage
        if token not in used and got.by in others and others[got.by].receipts:
            return False
        # A front door may use a token again, in answers that had not ended when it got that one.
        open_then = {got.by, *(key for key, call in others.items() if all(end.leaf >= got.leaf for end in call.ends))}
        may = {key for key in open_then & others.keys() if others[key].may_have_called}
        undecided.update(may)
        return not may and whole(door)  # before, its record of another answer may still come

    for service, lineage, exchange in said.exchanges:
        if (service, exchange.token_id) in named or not belongs_here(lineage):  # control: log-exchange-on-receipt
            continue
        raise Unproven(10, service, f"it exchanged a token for {exchange.audience}, and no receipt has that call")
    for key, call in said.calls.items():
        if not call.ends and not whole(call.service):  # its outcome, which names its receipt, may still come
            continue
        if key in answers or own & call.receipts or not belongs_here(call.lineage):  # control: log-call-on-receipt
            continue
        raise Unproven(10, call.service, f"it says that {call.caller} called it, and no receipt has that call")
    operations = tuple(call.operation for call in others.values())
    maybe = tuple(call.operation for key, call in others.items() if key in undecided)
    late, changed = (tuple(sorted(said.not_taken[reason])) for reason in (TOO_FAST, CHANGED))
    complete = not undecided and not away and until >= over  # control: export-not-too-early
    return Comparison(len(others), operations, maybe, late, changed, until, over, complete)


def _read(
    txn: str, door: str, leaves: Iterable[bytes], ledger: str | None, times: tuple[int, int]
) -> tuple[_LoggedTransaction, int]:
    """Return what the log has of a transaction, with the tokens that its front door got; and until when.

    `times`: from when to when it matters that a journal waits for its share, in seconds since the epoch.
    """
    marked, said, spans, heads = txn.encode(), _LoggedTransaction(), set[bytes](), b""
    for number, line in enumerate(leaves):
        if is_heads(line):
            heads = line
            continue
        _note_refused_journal(line, ledger, said.not_taken, times)
        if marked not in line and spans.isdisjoint(_SPAN.findall(line)):
            continue
        event = event_of(line)
        if event.trace is None:  # control: only-what-has-a-trace
            continue
        key, data = (event.service, event.trace), event.data
        if isinstance(data, Request) and data.decision.allowed and data.principal and data.principal.transaction == txn:
            spans.add(event.trace.span_id.encode())
            caller = data.peer.id if data.peer else data.principal.party
            said.calls[key] = _Call(event.service, caller, str(data.operation), _lineage(data.principal))
        elif isinstance(data, Exchange) and data.token_id and data.principal.transaction == txn:
            lineage = (*_lineage(data.principal), data.token_id)
            said.exchanges.append((event.service, lineage, data))
            if event.service == door:
                said.got.setdefault(data.token_id, _FirstExchange(key, number))
        elif isinstance(data, Outcome) and (call := said.calls.get(key)):
            call.ends.append(_End(number, data.ended == "complete", data.receipt))
    return said, heads_of(heads).time // MICROSECONDS if heads else 0


def _note_refused_journal(line: bytes, ledger: str | None, found: dict[str, set[str]], times: tuple[int, int]) -> None:
    """Note a party whose journal the ledger refused in that time.

    A party that was above its share is complete again when the log has a later record of it.  If a journal has changed,
    a later record may be by the intruder who changed it.
    """
    if not any(word.encode() in line for word in (*found, *found[TOO_FAST])):
        return
    event, (begin, end) = event_of(line), (seconds * MICROSECONDS for seconds in times)
    if event.time >= end:
        found[TOO_FAST].discard(event.service)
        return
    if not isinstance(event.data, Refusal) or event.data.decision.reason not in found or event.time < begin:
        return
    if ledger in {None, event.service}:  # control: sent-away-says-the-ledger
        found[event.data.decision.reason].add(str(event.data.decision.detail).partition(": ")[0])


def _lineage(caller: Caller) -> tuple[str, ...]:
    return *caller.lineage, caller.token_id
