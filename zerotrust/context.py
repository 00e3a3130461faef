"""Who asks, by which connection and under which trace: of the request being handled, and of no other.

The gate writes it down; whatever a handler calls may read it.
"""

import secrets
from contextvars import ContextVar
from dataclasses import dataclass, field

from zerotrust.dialect import Form
from zerotrust.identity import Principal
from zerotrust.spiffe.svid import Peer

PRINCIPAL: ContextVar[Principal] = ContextVar("principal")
PEER: ContextVar[Peer] = ContextVar("peer")
FORM: ContextVar[Form] = ContextVar("form")


@dataclass(frozen=True, slots=True)
class Span:
    """The handling of one request, as a node of a trace (W3C Trace Context); ids are lower-case hexadecimal."""

    trace_id: str = field(default_factory=lambda: secrets.token_hex(16))
    parent_id: str | None = None
    """The span of the party that sent the request; None at the root."""
    span_id: str = field(default_factory=lambda: secrets.token_hex(8))
    caller_trace_id: str | None = None
    """The trace that a caller named who may not continue one here; for the record."""

    @property
    def traceparent(self) -> str:
        """What this party's own calls carry.  The flag says "sampled": each span is on record in a journal."""
        return f"00-{self.trace_id}-{self.span_id}-01"


TRACE: ContextVar[Span] = ContextVar("trace")


def current_principal() -> Principal:
    """The caller of the request being handled.  Raises `LookupError` where no gate has let one in."""
    return PRINCIPAL.get()


def current_peer() -> Peer:
    """Who is at the other end of the connection that the current request came by."""
    return PEER.get()


def current_trace() -> str:
    """The trace id of the request being handled: 32 hexadecimal digits."""
    return TRACE.get().trace_id


def current_span() -> Span:
    """The span of the request being handled."""
    return TRACE.get()
