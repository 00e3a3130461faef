"""Who asks, by which connection and under which trace: of the request being handled, and of no other.

The gate writes it down; whatever a handler calls may read it.
"""

from contextvars import ContextVar

from zerotrust.dialect import Form
from zerotrust.identity import Principal
from zerotrust.svid import Peer

PRINCIPAL: ContextVar[Principal] = ContextVar("principal")
PEER: ContextVar[Peer] = ContextVar("peer")
TRACE: ContextVar[str] = ContextVar("trace_id")
FORM: ContextVar[Form] = ContextVar("form")


def current_principal() -> Principal:
    """The caller of the request being handled.  Raises `LookupError` where no gate has let one in."""
    return PRINCIPAL.get()


def current_peer() -> Peer:
    """Who is at the other end of the connection that the current request came by."""
    return PEER.get()


def current_trace() -> str:
    """The trace id of the request being handled: 32 hexadecimal digits."""
    return TRACE.get()
