"""One request on its way through the gate, with what is known of it so far."""

import time
from contextlib import ExitStack
from dataclasses import dataclass, field

from starlette.types import Message, Scope

from zerotrust import incoming
from zerotrust.current import Span
from zerotrust.dialect import Form
from zerotrust.identity import Principal
from zerotrust.routes import UNLISTED, Route
from zerotrust.svid import NOBODY, Peer


@dataclass(slots=True)
class Call:
    """One request; the gate fills it in, step by step."""

    scope: Scope
    received: float = field(default_factory=time.time)
    span: Span = field(default_factory=Span)
    peer: Peer = NOBODY
    caller_trace: str | None = None
    principal: Principal | None = None
    route: Route = UNLISTED
    permission: str | None = None
    operation: str | None = None
    form: Form = field(default_factory=Form)
    first: Message | None = None
    last: Message | None = None
    """What was sent first, and last."""
    over: ExitStack = field(default_factory=ExitStack)
    """What is to be done once it is over."""

    @property
    def unfinished(self) -> Message | None:
        """How an answer has begun that has no end yet."""
        ended = self.last is not self.first and self.last is not None and not self.last.get("more_body")
        return None if ended else self.first

    @property
    def origin(self) -> str:
        """Whom a count is for: a party by its name, a stranger by its address."""
        return self.peer.id or (self.scope["client"][0] if self.scope.get("client") else "unknown")

    def follow_trace(self) -> None:
        """Our own workloads continue a trace; anybody else gets a new one, and theirs is kept beside it."""
        if theirs := incoming.trace(self.scope["headers"]):
            trace_id, parent_id = theirs
            if self.principal and self.principal.delegated:
                self.span = Span(trace_id, parent_id, self.span.span_id)
            else:
                self.caller_trace = trace_id
