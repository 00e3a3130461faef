"""The request being handled: its principal, its peer, its trace, and what its answer waits for.

The gate sets it and fills it in (`call.py`); all code that a handler calls may read it.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from os import urandom

from zerotrust.decision import Denied, Reason, ReasonCode
from zerotrust.dialect import Form
from zerotrust.identity import Principal
from zerotrust.spiffe.svid import NO_PEER, Peer


@dataclass(frozen=True, slots=True)
class Span:
    """The handling of one request, as a node of a trace (W3C Trace Context); ids are lower-case hexadecimal."""

    trace_id: str = field(default_factory=lambda: urandom(16).hex())
    parent_id: str | None = None
    """The span of the party that sent the request; None at the root."""
    span_id: str = field(default_factory=lambda: urandom(8).hex())
    caller_trace_id: str | None = None
    """The trace of a caller that may not continue it here; for the audit record."""

    @property
    def traceparent(self) -> str:
        """The header of this party's own calls.  Its flag is "sampled": a journal records each span."""
        return f"00-{self.trace_id}-{self.span_id}-01"


class Undecided(set[object]):
    """One for each decision that was asked of an engine elsewhere and never awaited to its end."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals: list[Exception] = []
        """The exceptions of such decisions."""


@dataclass(slots=True, kw_only=True)
class RequestContext:
    """The facts of a request that its handler may know."""

    span: Span = field(default_factory=Span)
    peer: Peer = NO_PEER
    principal: Principal | None = None
    """The caller, once its token is verified."""
    form: Form = field(default_factory=Form)
    unwritten: list[Awaitable[object]] = field(default_factory=list)
    """Records that the answer waits for; each is done when it is on the disk."""
    undecided: Undecided = field(default_factory=Undecided)
    """Decisions without which there is no answer."""
    repeated: Callable[[ReasonCode], bool] | None = None
    """For a call that is not on record itself, as a browser's: counts a refusal of its caller, and returns whether that
    is enough, because as many like it were just recorded in full as may be."""
    routed_by: tuple[str, str, str] = "", "", ""
    """The request as the gate decided about it: method, path and root path."""
    calls: object = None
    """The calls that its handler has made, for its receipt (`receipts/calls.py`)."""
    over: bool = False
    """Whether its handler has ended.  A task or a thread that the handler started may go on, but acts for no caller."""

    @property
    def caller(self) -> Principal:
        """The principal.  Raises `LookupError` if no gate has verified one."""
        if self.principal is None:
            raise LookupError("the caller is not verified")
        return self.principal


REQUEST: ContextVar[RequestContext] = ContextVar("request")


def current_request() -> RequestContext:
    """Return the request being handled.  Raises `LookupError` if there is none, and `Denied` if it is over."""
    request = REQUEST.get()
    if request.over:  # control: ended-call-has-no-caller
        raise Denied(Reason.CALL_ENDED, "what goes on: run_in_background(name, work); for several: pass the principal")
    return request


def current_principal() -> Principal:
    """Return the caller of the request being handled.

    Raises `LookupError` if no gate has admitted one, and `Denied` (`call_ended`) once the call has ended.
    """
    return current_request().caller


def current_peer() -> Peer:
    """Return the peer of the connection on which the current request came.  Raises as `current_principal` does."""
    return current_request().peer


def current_trace() -> str:
    """Return the trace id of the request being handled: 32 hexadecimal digits."""
    return REQUEST.get().span.trace_id
