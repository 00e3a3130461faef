"""The gate: checks a call, and runs its handler for as long as token, connection and caller stay valid.

One pure ASGI wrapper around the whole application, because a framework's dependencies do not run on routes that an
SDK registers.  `checks.py` has the steps, in their order.  A call comes from `hardening/server.py`, which knows its
connection's peer; its answer goes out through `sealing.py`.

The gate reads a body only of callers who could use the route at all.  It decides again after the body, which may
determine the permission (`routes.py`); and the policies may have changed meanwhile.
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
from zerotrust.decision import BEGUN, Decision, Denied, Reason
from zerotrust.dialect import BEARER, DPOP, PLAIN, Dialect, Form
from zerotrust.sealing import Notary, Sealing
from zerotrust.spiffe.svid import NO_PEER
from zerotrust.transport.responses import cut_off, send_refusal

REVOCATION_GRACE = 0.5
"""Seconds that a handler has to report what it did after its caller was revoked; then it is cut off."""

log = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False)
class Gate(Checks):
    """The enforcement point around one application.  It inherits the steps, and what they need."""

    app: Starlette
    metadata_url: str | None = None
    dialects: Mapping[str, Dialect] = field(default_factory=dict)
    """The error format of a path whose protocol defines its own, or of all paths below one that ends with a slash."""
    challenge: str = DPOP
    """What callers without a certificate have to send."""
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
            for give_back in call.at_end:
                give_back()
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
        """Run the handler while its caller's token and connection are valid: no answer, and no stream, outlives them.

        Return None when it has ended, or why it was not started or was cut off.
        """
        principal = call.principal
        if principal is None:  # a public route, or a workload identified by its certificate
            await app(call.scope, call.receive, send)
            return None
        left = min(principal.expires_at, call.peer.until) - self.clock()  # control: answer-ends-with-token
        if left <= 0:  # receiving or recording the request took too long
            return Denied(Reason.EXPIRED, "before it was used")
        # control: caller-not-revoked-when-served
        if not (found := self.revocations.check_caller(principal)):  # it may have been revoked since the gate checked
            return Denied(found.reason, found.detail)
        ending: Denied | None = None
        loop = asyncio.get_running_loop()
        end = loop.time() + left

        def on_revoked(decision: Decision) -> None:
            """Leave the handler `REVOCATION_GRACE` to report what it did."""
            nonlocal ending, end
            if life.expired():  # it is being cut off already
                return
            ending = Denied(decision.reason, decision.detail, more=BEGUN)
            end = min(end, loop.time() + REVOCATION_GRACE)
            life.reschedule(end)

        async def in_time(message: Message) -> None:
            if life.expired():
                raise TimeoutError  # also to a handler that goes on after it was cut off
            await send(message)

        try:
            async with asyncio.timeout(left) as life:  # control: answer-has-an-end
                with self.revocations.watching(principal, on_revoked):  # control: revocation-ends-answer
                    await app(call.scope, call.receive, in_time)
        except TimeoutError:
            if not life.expired():
                raise
        if not life.expired():
            return None
        return ending or Denied(Reason.EXPIRED, "while it was being used", more=BEGUN)

    async def _refuse(self, call: Call, refusal: Denied, send: Send) -> None:
        """Record or count a refusal, and answer with it."""
        refusal = await self.note_refusal(call, refusal)
        if call.last is None:  # otherwise an answer has begun, and can only be cut off
            await send_refusal(refusal, call.span.trace_id, send, call.form)
