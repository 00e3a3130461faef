"""One request on its way through the gate, and what the gate has learnt about it so far."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from starlette.types import Message, Receive, Scope

from zerotrust.audit import event_parts, event_types
from zerotrust.audit.forms import as_name, sanitize
from zerotrust.audit.record import Link
from zerotrust.context import RequestContext, Span
from zerotrust.decision import Decision, Reason
from zerotrust.identity import UnverifiedToken
from zerotrust.receipts.calls import Calls
from zerotrust.routes import UNLISTED, Route
from zerotrust.transport import requests
from zerotrust.transport.jsonrpc import request_id


@dataclass(slots=True, kw_only=True)
class Call(RequestContext):
    """One request; the gate fills it in, step by step."""

    scope: Scope
    receive: Receive
    """The handler's reader of the body: once the gate has read it, again from its beginning."""
    gate: Any = None
    """The gate that has admitted it, which also runs what goes on after it (`lifetime.py`)."""
    noting: bool = False
    """Whether this party signs receipts, and so notes what its handlers ask of others."""
    began: int = field(default_factory=lambda: time.monotonic_ns())  # noqa: PLW0108 - looked up late, for tests
    """In nanoseconds, by the monotonic clock."""
    route: Route = UNLISTED
    token: UnverifiedToken = field(default=UnverifiedToken(""))
    permission: str | None = None
    operation: str | None = None
    message: Mapping[str, Any] = field(default_factory=dict)
    """The body, until it was decided about."""
    decision: Decision = field(default=Decision(allowed=False, reason=Reason.FAILED))
    first: Message | None = None
    last: Message | None = None
    """The first and the last message that was sent."""
    by_certificate: bool = False
    """Whether the caller is a workload on a route that requires a certificate only."""
    record: Link | None = None
    """Where its admission is in the journal."""
    policy: str = ""
    """The version of the policies that decided about it."""
    recorded: bool = False
    """Whether the admission is on record; if so, the outcome will be, too."""
    calls: Calls | None = None
    """None for a caller without a verified token."""
    receipt: str | None = None
    """The SHA-256 of its receipt, if the answer has one."""
    ended: Literal["complete", "cut_off", "failed"] = "cut_off"
    request_read: bool = False
    """Whether the whole content was received."""
    request_digest: Any = field(default_factory=hashlib.sha256)
    answer_digest: Any = field(default_factory=hashlib.sha256)
    """Digest of the content so far; of an answer, without its receipts."""
    at_end: list[Callable[[], None]] = field(default_factory=list)
    """Called when the request ends, to release its share of the limits."""

    @property
    def unfinished_answer(self) -> Message | None:
        """The first message of an answer that has begun and not ended."""
        ended = self.last is not self.first and self.last is not None and not self.last.get("more_body")
        return None if ended else self.first

    def end(self) -> None:
        """Forget the caller, and give back what it has taken of the limits."""
        self.over = True
        while self.at_end:
            self.at_end.pop()()

    @property
    def origin(self) -> str:
        """The caller that is counted: a party by its SPIFFE ID, an unknown caller by its address."""
        return self.peer.id or (self.scope["client"][0] if self.scope.get("client") else "unknown")

    def note_caller(self) -> None:
        """Begin what only a verified caller has: notes for its receipt, its name at its connection, and its trace.

        The trace of one of our workloads is continued.  A caller without a certificate gets a new one, and the one that
        it sent is noted.
        """
        if self.noting:
            self.calls = Calls()
        if self.peer.id is None and (note_user := self.scope.get("state", {}).get("note_user")):
            note_user(self.caller.subject)
        if sent := requests.trace(self.scope["headers"]):
            trace_id, parent_id = sent
            if self.peer.id:
                self.span = Span(trace_id, parent_id, self.span.span_id)
            else:
                self.span = replace(self.span, caller_trace_id=trace_id)

    def note_body(self, message: Mapping[str, Any]) -> None:
        """Note the body, which is one JSON object: refusals repeat the id that a request of JSON-RPC has there."""
        self.message = message
        self.form = replace(self.form, request_id=request_id(message), parsed=True)

    def note_received(self, message: Message) -> None:
        self.request_digest.update(message.get("body", b""))
        self.request_read |= message["type"] == "http.request" and not message.get("more_body")

    def note_sent(self, message: Message) -> None:
        self.first, self.last = self.first or message, message
        self.answer_digest.update(message.get("body", b""))

    def request_event(self, decision: Decision, policy: str | None = None) -> event_types.Request:
        """Return the event for a decision about this request; `policy`: the policy version, where it was evaluated."""
        return event_types.Request(
            operation=sanitize(f"{self.scope['method']} {self.operation or self.scope['path']}"),
            decision=event_parts.Decided.of(decision, policy),
            peer=event_parts.Peer(id=self.peer.id) if self.peer.id else None,
            principal=event_parts.Caller.of(self.principal) if self.principal else None,
            permission=as_name(self.permission) if self.permission else None,
        )

    def outcome(self) -> event_types.Outcome:
        whole = self.first is not None and not self.unfinished_answer
        return event_types.Outcome(
            ended="cut_off" if self.ended == "complete" and not whole else self.ended,
            status=self.first["status"] if self.first else None,
            duration=(time.monotonic_ns() - self.began) // 1000,
            request_sha256=self.request_digest.hexdigest(),
            answer_sha256=self.answer_digest.hexdigest(),
            receipt=self.receipt,
        )
