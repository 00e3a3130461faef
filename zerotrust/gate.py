"""The gate: who asks, may they, and is it on record?  All of that before any handler runs.

One pure ASGI wrapper round the whole application, because a framework's dependencies do not run on routes that an
SDK registers.  In order: (1) peer  (2) credentials  (3) verify  (4) bind  (5) standing  (6) decide  (7) confirm
(8) record; then the handler narrows and acts, for as long as all of that holds.

A body is read once it is decided that the caller may use the route; nobody else's is read or parsed.  Only where the
body names the tool, and so the permission, it is read before that, and of none but those who hold a tool's scope.
"""

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zerotrust import incoming
from zerotrust.audit.counts import Tally
from zerotrust.audit.journal import Journal, describe, plain
from zerotrust.clock import Forward
from zerotrust.current import FORM, PEER, PRINCIPAL, TRACE, Span
from zerotrust.decision import Decision, Denied, PolicyEngine, Reason, ReasonCode
from zerotrust.dialect import PLAIN, Dialect, Form
from zerotrust.identity import Principal, UnverifiedToken
from zerotrust.inflight import OF_A_PARTY, OF_A_PERSON, OF_A_USER, InFlight
from zerotrust.jsonrpc import request_id
from zerotrust.keys import SigningKeys
from zerotrust.mcp import Need, ToolPermissions
from zerotrust.refusing import cut_off, send_refusal
from zerotrust.standing import Standing
from zerotrust.svid import NOBODY, Peer
from zerotrust.turns import Turns
from zerotrust.verify import Expected, Remembered

PUBLIC: Literal["public"] = "public"
"""The permission that everybody holds; a permission like others, to be given by name."""


@dataclass(frozen=True, slots=True)
class Peers:
    """The permission of parties that come with their certificate alone, and no user's token."""

    names: frozenset[str] | None = None
    """Who, by name; None for every party of the registry that has a certificate."""


Needs = str | ToolPermissions | Peers
"""A permission: by name, by tool, or of parties."""


@dataclass(frozen=True, slots=True)
class Route:
    """A permission, with the bytes that a body may have where `incoming.MAX_BODY` would be too few."""

    needs: Needs
    body: int


Permissions = Mapping[tuple[str, str], Needs | Route]
"""(method, path) to the permission it needs.  A route that is not in it is refused."""

LAST_WORDS = 0.5
"""Seconds that a handler has to tell what was done once its caller is withdrawn; nothing more is done for it."""

PEOPLE = "people"
"""As whom those are counted together who come without a certificate."""

Confirmation = Callable[[Principal, str], Awaitable[None]]
"""Asks the issuer about a caller, where the permission that it uses is worth that.  Raises `Denied`."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Call:
    """One request on its way through the gate, with what is known of it so far."""

    scope: Scope
    received: float = field(default_factory=time.time)
    span: Span = field(default_factory=Span)
    peer: Peer = NOBODY
    caller_trace: str | None = None
    principal: Principal | None = None
    route: Needs | None = None
    permission: str | None = None
    operation: str | None = None
    form: Form = field(default_factory=Form)
    first: Message | None = None
    last: Message | None = None
    """What was sent first, and last."""
    over: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    """What is to be done once it is over."""

    @property
    def unfinished(self) -> Message | None:
        """How an answer has begun that has no end yet."""
        ended = self.last is not self.first and self.last is not None and not self.last.get("more_body")
        return None if ended else self.first

    def follow_trace(self) -> None:
        """Our own workloads continue a trace; anybody else gets a new one, and theirs is kept beside it."""
        if theirs := incoming.trace(self.scope["headers"]):
            trace_id, parent_id = theirs
            if self.principal and self.principal.delegated:
                self.span = Span(trace_id, parent_id, self.span.span_id)
            else:
                self.caller_trace = trace_id


class Gate:
    """An application, guarded."""

    def __init__(  # noqa: PLR0913 - what a gate stands on, each by name
        self,
        app: ASGIApp,
        *,
        permissions: Permissions,
        expected: Expected,
        keys: SigningKeys,
        policy: PolicyEngine,
        standing: Standing,
        confirm: Confirmation,
        journal: Journal,
        clock: Callable[[], float] = time.time,
        metadata_url: str | None = None,
        dialects: Mapping[str, Dialect] | None = None,
    ) -> None:
        """`dialects`: how a path is spoken to whose protocol has errors of its own."""
        self._app, self._permissions = app, permissions
        self._keys, self._standing, self._journal, self._clock = keys, standing, journal, Forward(clock)
        self._metadata_url, self._dialects = metadata_url, dialects or {}
        self._tally, self._confirm = Tally(journal), confirm
        self._of_users, self._of_senders = InFlight(), InFlight()
        self._turns: defaultdict[str | None, Turns] = defaultdict(Turns)
        self.adopt(expected=expected, policy=policy)

    def adopt(self, *, expected: Expected, policy: PolicyEngine) -> None:
        """Go on with another version of the registry; what was verified by the one before is verified anew."""
        self._expected, self._policy, self._remembered = expected, policy, Remembered()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, partial(self._hear, receive), send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        form = Form(self._metadata_url, self._dialects.get(scope["path"], PLAIN))
        call = _Call(scope, peer=scope.get("state", {}).get("peer", NOBODY), form=form)
        FORM.set(form)
        PEER.set(call.peer)
        TRACE.set(call.span)

        async def watched(message: Message) -> None:
            call.first, call.last = call.first or message, message
            await send(message)

        try:
            await self._serve(call, receive, watched)
        except Exception:  # a mistake of ours: its story is for the log, never for the caller
            log.exception("failed")
            await self._refuse(call, Denied(Reason.FAILED), watched)
        finally:
            call.over.close()

    async def _serve(self, call: _Call, receive: Receive, send: Send) -> None:
        try:
            receive = await self._admit(call, receive)
        except Denied as refusal:
            return await self._refuse(call, refusal, send)
        if call.principal is None:  # a public route
            return await self._app(call.scope, receive, send)
        PRINCIPAL.set(call.principal)
        return await self._run(call, receive, send)

    async def _hear(self, receive: Receive) -> Message:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            with contextlib.suppress(OSError):  # then it is lost, and the journal has said so to everybody
                await self._tally.flush()
        return message

    async def _admit(self, call: _Call, receive: Receive) -> Receive:
        """Take the steps in order; return what the handler may read, or raise the refusal to send back."""
        found = self._permissions.get((call.scope["method"], call.scope["path"]))
        route = call.route = found.needs if isinstance(found, Route) else found
        most = incoming.MAX_MESSAGE if isinstance(route, ToolPermissions) else incoming.MAX_BODY
        most = found.body if isinstance(found, Route) else most
        self._check_peer(call.peer)  # (1)
        await self._turns[call.peer.id].wait()
        if route == PUBLIC:
            receive, _ = await incoming.whole(call.scope["headers"], receive, most=incoming.MAX_PUBLIC_BODY)
            self._tally.count(_origin(call), PUBLIC)
            return receive
        if isinstance(route, Peers):
            return await self._admit_peer(call, route, receive, most)
        call.permission = route if isinstance(route, str) else None
        token = incoming.bearer(call.scope["headers"], hint=call.permission)  # (2)
        call.principal = await self._verify(token)  # (3)
        self._bind(call.principal, call.peer)  # (4)
        if call.peer.id is None and (held_by := call.scope.get("state", {}).get("held_by")):
            held_by(call.principal.subject)
        call.follow_trace()
        TRACE.set(call.span)
        if not (standing := self._standing.of(call.principal)):  # (5)
            raise Denied(standing.reason, standing.detail)
        if route is None:
            raise Denied(Reason.NO_PERMISSION_FOR_ROUTE, call.scope["path"])
        call.form.dialect.check(call.scope["headers"])
        by_tool = isinstance(route, ToolPermissions) and not call.principal.scopes.isdisjoint(route.permissions)
        if not by_tool:  # then no body could change the decision
            needs = route.permissions if isinstance(route, ToolPermissions) else (route,)
            self._decide(call, Need(needs, call.scope["path"]))  # (6)
        self._count(call)
        receive, asked = await incoming.body(call.scope["headers"], receive, most=most)
        call.form = replace(call.form, request_id=request_id(asked), parsed=True)
        FORM.set(call.form)
        if isinstance(route, ToolPermissions):
            self._decide(call, route.need(call.scope["headers"], asked))  # (6)
        await self._confirm(call.principal, str(call.permission))  # (7)
        await self._record(call, Reason.GRANTED)  # (8)
        return receive

    def _count(self, call: _Call) -> None:
        """Count this request among those that its sender has under way, for its user and in all, until it is over.

        A user's share is counted for each sender: what one party sends in their name takes no room from what another
        one sends.  Raises `Denied` where that is one too many.
        """
        sender, most = call.peer.id or PEOPLE, OF_A_USER if call.peer.id else OF_A_PERSON
        if call.principal:
            user = (call.principal.subject, sender)
            if not self._of_users.take(user, most):
                raise Denied(Reason.TOO_MANY_REQUESTS, f"this user has {most} under way, sent by {sender}")
            call.over.callback(self._of_users.give_back, user)
        if not self._of_senders.take(sender, OF_A_PARTY):
            raise Denied(Reason.BUSY, f"{sender}: {OF_A_PARTY} under way")
        call.over.callback(self._of_senders.give_back, sender)

    def _check_peer(self, peer: Peer) -> None:
        """TLS has done the same in the handshake; what it says then is said here for every request."""
        if peer.until <= self._clock():
            raise Denied(Reason.CERTIFICATE_ENDED)
        if peer.id is None and not self._expected.login_clients:
            raise Denied(Reason.NO_CERTIFICATE)
        if peer.id is not None and peer.id not in self._expected.peers:
            raise Denied(Reason.UNKNOWN_PEER, peer.id)

    async def _admit_peer(self, call: _Call, allowed: Peers, receive: Receive, most: int) -> Receive:
        """Let in a party that is known by its certificate.  It asks for nothing in a user's name."""
        name = self._expected.peers.get(str(call.peer.id))
        if name is None or (allowed.names is not None and name not in allowed.names):
            raise Denied(Reason.UNKNOWN_PEER, str(call.peer.id))
        if not (standing := self._standing.of_party(str(call.peer.id))):
            raise Denied(standing.reason, standing.detail)
        self._count(call)
        self._tally.count(_origin(call), Reason.GRANTED)
        receive, _ = await incoming.body(call.scope["headers"], receive, most=most)
        return receive

    def _bind(self, principal: Principal, peer: Peer) -> None:
        """A token is good in the hands of whom it was issued to, and in nobody else's.

        A login client has no certificate: its token is good without one, and not over somebody's.
        """
        holder = peer.id or (principal.party if principal.party in self._expected.login_clients else None)
        if principal.party != holder:
            raise Denied(Reason.NOT_BOUND, f"issued to {principal.party}, presented by {peer.id or 'nobody known'}")

    async def _verify(self, token: UnverifiedToken) -> Principal:
        kid = self._remembered.key_id(token)
        key = await self._keys.key(kid)
        return self._remembered.verify(token, kid=kid, key=key, expected=self._expected, now=self._clock())

    def _decide(self, call: _Call, need: Need) -> None:
        assert call.principal is not None  # noqa: S101 - for the type checker: verified above
        call.operation = need.operation
        decision = Decision(allowed=False, reason=need.otherwise, detail=need.operation)
        for permission in need.permissions:
            call.permission = permission
            if decision := self._policy.decide(call.principal, permission, self._expected.audience):
                return
        # Name the scopes only where holding one would help.
        hint = " ".join(need.permissions) if decision.reason is Reason.SCOPE_MISSING else None
        raise Denied(decision.reason, decision.detail, scope=hint)

    async def _record(self, call: _Call, reason: ReasonCode, detail: str = "") -> None:
        assert call.principal is not None  # noqa: S101 - for the type checker
        record = {
            "at": call.received,
            "service": self._expected.audience,
            "event": "request",
            "trace_id": call.span.trace_id,
            "span_id": call.span.span_id,
            "parent_id": call.span.parent_id,
            "caller_trace": call.caller_trace,
            "peer": call.peer.id,
            "operation": plain(f"{call.scope['method']} {call.operation or call.scope['path']}"),
            "permission": call.permission,
            "allowed": reason is Reason.GRANTED,
            "reason": reason,
            "detail": plain(detail),
            "policy": self._policy.version,
            **describe(call.principal),
        }
        try:
            await self._journal.append(record)
        except OSError as error:
            raise Denied(Reason.JOURNAL_UNAVAILABLE, str(error)) from error

    async def _refuse(self, call: _Call, refusal: Denied, send: Send) -> None:
        if call.principal is None:
            self._tally.count(_origin(call), refusal.reason)
        elif not self._repeated(call, call.principal, refusal.reason):
            try:
                await self._record(call, refusal.reason, refusal.detail)
            except Denied as unrecorded:
                refusal = unrecorded
        if call.last is not None:  # an answer is under way, and can only be cut off
            return
        await send_refusal(refusal, call.span.trace_id, send, call.form)

    def _repeated(self, call: _Call, caller: Principal, reason: ReasonCode) -> bool:
        """Whether this refusal is only counted, for it was written in full more than once a moment ago."""
        route = "another route" if call.route is None else f"{call.scope['method']} {call.scope['path']}"
        return self._tally.repeated(caller.subject, caller.party, call.peer.id, reason, route)

    async def _run(self, call: _Call, receive: Receive, send: Send) -> None:
        """Run the handler for as long as token and connection are good: no answer, and no stream, outlives them."""
        assert call.principal is not None  # noqa: S101 - for the type checker
        left = min(call.principal.expires_at, call.peer.until) - self._clock()
        if left <= 0:  # it took its time to come in, or to be recorded
            return await self._refuse(call, Denied(Reason.EXPIRED, "before it was used"), send)
        if not (standing := self._standing.of(call.principal)):  # and all that while nobody was watching
            return await self._refuse(call, Denied(standing.reason, standing.detail), send)
        ending, loop = Denied(Reason.EXPIRED, "while it was being used"), asyncio.get_running_loop()
        end = loop.time() + left

        def lost(decision: Decision) -> None:
            """Leave the handler a moment to tell what was done."""
            nonlocal ending, end
            if life.expired():  # it is being ended already
                return
            ending, end = Denied(decision.reason, decision.detail), min(end, loop.time() + LAST_WORDS)
            life.reschedule(end)

        try:
            async with asyncio.timeout(left) as life:
                with self._standing.watching(call.principal, lost):
                    await self._app(call.scope, receive, send)
        except TimeoutError:
            if not life.expired():
                raise
            await self._refuse(call, ending, send)
            if first := call.unfinished:
                await cut_off(ending, call.span.trace_id, send, first=first)


def _origin(call: _Call) -> str:
    """Whom a count is for: a party by its name, a stranger by its address."""
    return call.peer.id or (call.scope["client"][0] if call.scope.get("client") else "unknown")
