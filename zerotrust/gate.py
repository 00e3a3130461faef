"""The gate: identifies the caller, decides about the request and records the decision, before any handler runs.

One pure ASGI wrapper around the whole application, because a framework's dependencies do not run on routes that an
SDK registers.  In order: (1) peer  (2) credentials  (3) verify  (4) bind  (5) revocation  (6) decide  (7) introspect
(8) record.  Then the handler exchanges tokens and acts, while token, connection and caller stay valid.

The gate reads a body only after it has decided that the caller may use the route.  Where the body determines the
permission (`routes.py`), it reads the body only of callers who could use the route at all, and decides again after it.
"""

import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial

from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send

from zerotrust.audit.counts import CallCounter
from zerotrust.audit.recorder import Recorder
from zerotrust.binding import check_holder, check_peer
from zerotrust.call import Call
from zerotrust.call_lifetime import while_valid
from zerotrust.clock import NonDecreasingClock
from zerotrust.context import REQUEST
from zerotrust.decision import Decision, Denied, PolicyEngine, Reason, ReasonCode
from zerotrust.dialect import PLAIN, Dialect, Form
from zerotrust.hardening.in_flight import Limits
from zerotrust.hardening.turns import Turns
from zerotrust.identity import Principal, UnverifiedToken
from zerotrust.issuer.jwks import SigningKeys
from zerotrust.receipts.calls import Calls
from zerotrust.revocation import Revocations
from zerotrust.routes import UNLISTED, Need, Requirement, Routes
from zerotrust.routing import RouteTable
from zerotrust.sealing import Notary, Sealing
from zerotrust.spiffe.svid import NO_PEER
from zerotrust.token_validation import Expected, TokenCache
from zerotrust.transport import requests
from zerotrust.transport.jsonrpc import request_id
from zerotrust.transport.responses import cut_off, send_refusal

Confirmation = Callable[[Principal, str], Awaitable[None]]
"""Introspects the token of a caller, if the permission in use is of high risk.  Raises `Denied`."""

GRANTED = Decision(allowed=True, reason=Reason.GRANTED)

log = logging.getLogger(__name__)


class Gate:
    """The enforcement point around one application."""

    def __init__(  # noqa: PLR0913 - its dependencies, each by name
        self,
        app: Starlette,
        *,
        routes: Routes,
        expected: Expected,
        keys: SigningKeys,
        policy: PolicyEngine,
        revocations: Revocations,
        confirm: Confirmation,
        recorder: Recorder,
        clock: Callable[[], float] = time.time,
        metadata_url: str | None = None,
        dialects: Mapping[str, Dialect] | None = None,
        notary: Notary | None = None,
    ) -> None:
        """`dialects`: the error format of each path whose protocol defines its own, or of all paths below one that ends
        with a slash.  `notary` signs the receipts.

        Raises `ValueError` if the app has other routes than those in `routes`.
        """
        self._app, self._routes = app, RouteTable(routes, app)
        self._keys, self._revocations, self._recorder, self._clock = (
            keys,
            revocations,
            recorder,
            NonDecreasingClock(clock),
        )
        self._metadata_url, self._dialects = metadata_url, dict(dialects or {})
        self._counter, self._introspect, self._limits = CallCounter(recorder), confirm, Limits()
        self._notary = notary
        self._turns: defaultdict[str | None, Turns] = defaultdict(Turns)
        self.use(expected=expected, policy=policy)

    def use(self, *, expected: Expected, policy: PolicyEngine) -> None:
        """Switch to another registry snapshot, and drop the tokens that were verified under the previous one."""
        self._expected, self._policy, self._token_cache = expected, policy, TokenCache()  # control: new-policy-used

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, partial(self._receive_lifespan, receive), send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        form = Form(self._metadata_url, self._dialect(scope["path"]))
        call = Call(scope=scope, peer=scope.get("state", {}).get("peer", NO_PEER), form=form)
        REQUEST.set(call)
        answer = Sealing(call, self._sign)

        async def sending(message: Message) -> None:
            if call.unwritten:
                await self._recorder.written(call.unwritten)
            if call.undecided and call.ended != "failed":  # control: decision-awaited
                raise RuntimeError("the handler answers before it has awaited what it let the policies decide")
            if call.calls:
                await call.calls.ended()  # an exchange that ends after the receipt would be on record only
            for part in answer.passed(message):
                await send(part)

        async def receiving() -> Message:
            message = await receive()
            call.received(message)
            return message

        try:
            await self._serve(call, receiving, sending)
        except Exception:  # a bug: the details go to the log, never to the caller
            call.ended = "failed"
            log.exception("failed")
            await self._refuse(call, Denied(Reason.FAILED), sending)
        finally:
            call.over.close()
            if call.recorded:
                self._recorder.ride(call.outcome())

    def _dialect(self, path: str) -> Dialect:
        """Return the error format of a path.  It changes nothing about what is allowed there."""
        found = (of for at, of in self._dialects.items() if at == path or (at.endswith("/") and path.startswith(at)))
        return next(found, PLAIN)

    def _sign(self, call: Call) -> str | None:
        if self._notary is None:
            return None
        return self._notary.sign(call, policy=call.policy or self._policy.version, code=self._recorder.measurement)

    async def _serve(self, call: Call, receive: Receive, send: Send) -> None:
        try:
            receive = await self._admit(call, receive)  # control: gate-admits
        except Denied as refusal:
            return await self._refuse(call, refusal, send)
        if call.principal is None:  # a public route, or a workload identified by its certificate
            await self._app(call.scope, receive, send)
            call.ended = "complete"
            return None
        return await self._run(call, receive, send)

    async def _receive_lifespan(self, receive: Receive) -> Message:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            with contextlib.suppress(OSError):  # the counts are lost; the journal has reported its failure already
                await self._counter.flush()
        return message

    async def _admit(self, call: Call, receive: Receive) -> Receive:
        """Take the steps in order.  Return the `receive` of the handler, or raise the refusal to send back."""
        headers, path = call.scope["headers"], call.scope["path"]
        call.route = self._routes.find(call.scope)
        required = call.route.requires
        check_peer(call.peer, self._expected, self._clock())  # (1)
        await self._turns[call.peer.id].wait()  # control: requests-by-turns
        if required.credential == "nothing":
            return await self._admit_public(call, required, receive)
        if required.credential == "certificate":
            return await self._admit_peer(call, required, receive)
        call.permission = required.hint
        token = requests.bearer(headers, hint=required.hint)  # (2)  # control: token-only-from-header
        call.principal = await self._verify(token)  # (3)
        check_holder(call.principal, call.peer, self._expected)  # (4)
        if self._notary:
            call.calls = Calls()
        if call.peer.id is None and (note_user := call.scope.get("state", {}).get("note_user")):
            note_user(call.principal.subject)
        call.follow_trace()
        if not (status := self._revocations.of(call.principal)):  # (5)  # control: caller-not-revoked
            raise Denied(status.reason, status.detail)
        if call.route is UNLISTED:  # control: route-listed
            raise Denied(Reason.NO_PERMISSION_FOR_ROUTE, path)
        call.form.dialect.check(headers)
        if need := required.need_before_body(path, call.principal.scopes):  # control: decided-before-body
            await self._decide(call, need)  # (6) as far as it does not depend on the body
        user, delegated = call.principal.subject, call.principal.delegated
        self._limits.enter(call.peer.id, user, call.over, delegated=delegated)
        receive, asked = await requests.body(headers, receive, most=required.max_body)
        call.form = replace(call.form, request_id=request_id(asked), parsed=True)
        decision = await self._decide(call, required.need(path, headers, asked))  # (6)
        await self._introspect(call.principal, str(call.permission))  # (7)  # control: high-risk-introspected
        await self._record(call, decision)  # (8)  # control: recorded-before-served
        call.recorded = True
        return receive

    async def _admit_public(self, call: Call, required: Requirement, receive: Receive) -> Receive:
        """Admit a call to a public route, from any sender."""
        receive, _ = await requests.whole(call.scope["headers"], receive, most=required.max_body)
        self._counter.count(call.origin, "public")
        return receive

    async def _admit_peer(self, call: Call, required: Requirement, receive: Receive) -> Receive:
        """Admit a workload by its certificate.  It does not act for a user.  Raises `Denied`."""
        name = self._expected.peers.get(str(call.peer.id))
        call.by_certificate = name is not None
        if name is None or not required.admits(name):  # control: peer-admitted-by-route
            raise Denied(Reason.UNKNOWN_PEER, str(call.peer.id))
        if not (status := self._revocations.of_party(str(call.peer.id))):  # control: peer-not-suspended
            raise Denied(status.reason, status.detail)
        self._limits.enter(call.peer.id, None, call.over)
        read = requests.whole if required.raw_body else requests.body
        receive, _ = await read(call.scope["headers"], receive, most=required.max_body)
        if not required.routine and not self._repeated(call, Reason.GRANTED):
            self._recorder.ride(call.decided(GRANTED))
            call.recorded = True
        return receive

    async def _verify(self, token: UnverifiedToken) -> Principal:
        kid = self._token_cache.key_id(token)
        key = await self._keys.key(kid)
        return self._token_cache.verify(token, kid=kid, key=key, expected=self._expected, now=self._clock())

    async def _decide(self, call: Call, need: Need) -> Decision:
        assert call.principal is not None  # noqa: S101 - for the type checker: verified above
        call.operation = need.operation
        decision = Decision(allowed=False, reason=need.otherwise, detail=need.operation)
        for permission in need.permissions:  # control: policy-decides
            call.permission = permission
            decided = self._policy.decide(call.principal, permission, self._expected.audience)
            decision = decided if isinstance(decided, Decision) else await decided
            if decision:
                return decision
        # A scope hint helps only where a scope is what is missing.
        hint = " ".join(need.permissions) if decision.reason is Reason.SCOPE_MISSING else None
        raise Denied(decision.reason, decision.detail, scope=hint)

    async def _refuse(self, call: Call, refusal: Denied, send: Send) -> None:
        decision = Decision(allowed=False, reason=refusal.reason, detail=refusal.detail)
        if call.principal is None and not call.by_certificate:
            self._counter.count(call.origin, refusal.reason)
        elif self._repeated(call, refusal.reason):
            pass
        elif call.principal is None:
            self._recorder.ride(call.decided(decision))
        else:
            try:
                await self._record(call, decision)
            except Denied as unrecorded:
                refusal = unrecorded
        if call.last is None:  # otherwise an answer has begun, and can only be cut off
            await send_refusal(refusal, call.span.trace_id, send, call.form)

    async def _record(self, call: Call, decision: Decision) -> None:
        """Record a decision, and return when it is on the disk.  Raises `Denied`."""
        call.policy = decision.policy or self._policy.version  # another one may be in force when the answer is signed
        record = self._recorder.append(call.decided(decision, call.policy))
        await self._recorder.written([record])
        call.record = record.result()

    def _repeated(self, call: Call, reason: ReasonCode) -> bool:
        """Return whether to count this call only, because as many like it were just recorded in full as may be."""
        subject, party = (call.principal.subject, call.principal.party) if call.principal else (None, None)
        return self._counter.repeated(subject, party, call.peer.id, reason, call.route.name)

    async def _run(self, call: Call, receive: Receive, send: Send) -> None:
        """Run the handler while token and connection are valid: no answer, and no stream, outlives them."""
        assert call.principal is not None  # noqa: S101 - for the type checker
        left = min(call.principal.expires_at, call.peer.until) - self._clock()  # control: answer-ends-with-token
        work = partial(self._app, call.scope, receive, send)
        if refusal := await while_valid(work, call.principal, self._revocations, seconds=left):
            await self._refuse(call, refusal, send)
            if first := call.unfinished:
                await cut_off(refusal, call.span.trace_id, send, first=first)
        else:
            call.ended = "complete"
