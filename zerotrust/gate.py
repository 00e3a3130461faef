"""The gate: checks a call, and runs its handler for as long as token, connection and caller stay valid.

One pure ASGI wrapper around the whole application, because a framework's dependencies do not run on routes that an
SDK registers.  `checks.py` has the steps, in their order.  A call comes from `hardening/server.py`, which knows its
connection's peer; its answer goes out through `sealing.py`.

The gate reads a body only of callers who could use the route at all.  It decides again after the body, which may
determine the permission (`routes.py`); and the policies may have changed by then.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zerotrust.call import Call
from zerotrust.checks import Checks
from zerotrust.context import REQUEST
from zerotrust.decision import Denied, Reason
from zerotrust.dialect import BEARER, DPOP, PLAIN, Dialect, Form
from zerotrust.lifetime import in_thread, while_valid
from zerotrust.sealing import Notary, Sealing
from zerotrust.spiffe.svid import NO_PEER
from zerotrust.transport.responses import cut_off, send_refusal

log = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False)
class Gate(Checks):
    """The enforcement point around one application.  It inherits the steps, and what they need."""

    app: Starlette
    metadata_url: str | None = None
    dialects: Mapping[str, Dialect] = field(default_factory=dict)
    """The error format of a path whose protocol defines its own, or, if it ends with a slash, of all paths below it."""
    challenge: str = DPOP
    """The credentials of callers without a certificate."""
    notary: Notary | None = None
    """Signs the receipts."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, partial(self._receive_lifespan, receive), send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})

        async def sending(message: Message) -> None:
            if call.unwritten:
                await self.recorder.wait_until_written(call.unwritten)
            if call.undecided and call.ended != "failed":  # control: decision-awaited
                raise RuntimeError("the handler answers before it has awaited what it let the policies decide")
            if call.calls:
                await call.calls.wait_until_done()  # an exchange that ends after the receipt would be on record only
            for part in answer.pass_on(message):
                await send(part)

        async def receiving() -> Message:
            message = await receive()
            call.note_received(message)
            return message

        peer = scope.get("state", {}).get("peer", NO_PEER)
        call = Call(
            scope=scope,
            receive=receiving,
            peer=peer,
            form=Form(self.metadata_url, self._dialect(scope["path"]), challenge=BEARER if peer.id else self.challenge),
            noting=self.notary is not None,
            gate=self,
        )
        answer = Sealing(call, self._sign)
        REQUEST.set(call)
        try:
            await self._serve(call, sending)
        except Exception:  # a bug: the details go to the log, never to the caller
            call.ended = "failed"
            log.exception("failed")
            await self._refuse(call, Denied(Reason.FAILED), sending)
        finally:
            call.receive = receive  # otherwise a body that no handler read waits for the garbage collector
            call.end()
            if call.recorded:
                self.recorder.append_lazily(call.outcome())

    async def _receive_lifespan(self, receive: Receive) -> Message:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            with contextlib.suppress(OSError):  # the counts are lost; the journal has reported its failure already
                await self.counter.flush()
        return message

    def _dialect(self, path: str) -> Dialect:
        """Return the error format of a path.  It changes nothing about what is allowed there."""
        for at, dialect in self.dialects.items():
            if at == path or (at.endswith("/") and path.startswith(at)):
                return dialect
        return PLAIN

    def _sign(self, call: Call) -> str | None:
        if self.notary is None:
            return None
        policy, code = call.policy or self.policy.version, self.recorder.measurement
        return self.notary.sign(call, policy=policy, code=code)

    async def _serve(self, call: Call, send: Send) -> None:
        try:
            await self.admit(call)  # control: gate-admits
        except Denied as refusal:
            await self._refuse(call, refusal, send)
            return
        if ending := await self.run(call, self.app, send):
            await self._refuse(call, ending, send)
            if first := call.unfinished_answer:
                await cut_off(ending, call.span.trace_id, send, first=first)
        else:
            call.ended = "complete"

    async def run(self, call: Call, app: ASGIApp, send: Send) -> Denied | None:
        """Run the handler as `while_valid` does: no answer, and no stream, outlives its caller's token.

        Then the call is over: no task or thread that it has started acts for its caller any more (`context.py`).
        """

        async def handle(life: asyncio.Timeout) -> None:
            async def in_time(message: Message) -> None:
                if life.expired():
                    raise TimeoutError  # also to a handler that goes on after it was cut off
                await send(message)

            running = app(call.scope, call.receive, in_time)
            await (in_thread(call, running) if call.route.requires.thread else running)

        try:
            if call.principal:
                return await while_valid(call, self.revocations, self.clock, handle)
            await app(call.scope, call.receive, send)  # a public route, or a workload identified by its certificate
            return None
        finally:
            call.over = True

    async def _refuse(self, call: Call, refusal: Denied, send: Send) -> None:
        """Record or count a refusal, and answer with it."""
        refusal = await self.note_refusal(call, refusal)
        if call.last is None:  # otherwise an answer has begun, and can only be cut off
            await send_refusal(refusal, call.span.trace_id, send, call.form)
