"""The principal, the peer and the trace of the request being handled, and the records that its answer waits for.

The gate sets them; all code that a handler calls may read them.
"""

import secrets
from collections.abc import Awaitable
from contextvars import ContextVar
from dataclasses import dataclass, field

from zerotrust.dialect import Form
from zerotrust.identity import Principal
from zerotrust.spiffe.svid import Peer

PRINCIPAL: ContextVar[Principal] = ContextVar("principal")
PEER: ContextVar[Peer] = ContextVar("peer")
FORM: ContextVar[Form] = ContextVar("form")
UNWRITTEN: ContextVar[list[Awaitable[object]]] = ContextVar("unwritten")
"""Each is done when a record is on the disk."""


class Undecided(set[object]):
    """One for each decision that an engine elsewhere has been asked for and that nobody has awaited to its end."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals: list[Exception] = []
        """What such decisions have raised."""


UNDECIDED: ContextVar[Undecided] = ContextVar("undecided")


@dataclass(frozen=True, slots=True)
class Span:
    """The handling of one request, as a node of a trace (W3C Trace Context); ids are lower-case hexadecimal."""

    trace_id: str = field(default_factory=lambda: secrets.token_hex(16))
    parent_id: str | None = None
    """The span of the party that sent the request; None at the root."""
    span_id: str = field(default_factory=lambda: secrets.token_hex(8))
    caller_trace_id: str | None = None
    """The trace of a caller that may not continue it here; for the audit record."""
    state: str = ""
    """The `tracestate` of a trace that is continued; passed on, and not recorded."""

    @property
    def traceparent(self) -> str:
        """The header of this party's own calls.  Its flag is "sampled": a journal records each span."""
        return f"00-{self.trace_id}-{self.span_id}-01"


TRACE: ContextVar[Span] = ContextVar("trace")


def current_principal() -> Principal:
    """Return the caller of the request being handled.  Raises `LookupError` if no gate has admitted one."""
    return PRINCIPAL.get()


def current_peer() -> Peer:
    """Return the peer of the connection on which the current request came."""
    return PEER.get()


def current_trace() -> str:
    """Return the trace id of the request being handled: 32 hexadecimal digits."""
    return TRACE.get().trace_id


def current_span() -> Span:
    """Return the span of the request being handled."""
    return TRACE.get()
