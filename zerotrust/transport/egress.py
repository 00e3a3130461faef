"""Calls other parties.  It sends a token only with the call that it was exchanged for, and only to its audience.

The connection leads to that party (`hardening/pools.py`), which is not revoked.  A call ends when the party is revoked,
and with its token at the latest.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any

import httpx
import httpx2

from zerotrust.context import current_request
from zerotrust.decision import BEGUN, Decision, Denied, Reason
from zerotrust.dialect import Form
from zerotrust.hardening.pools import Connections, MCPConnections, origin
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.limits.answers import MAX_ELEMENTS, PLAIN, REPORTING_MARGIN, SECONDS, read
from zerotrust.limits.strict_json import check_size
from zerotrust.receipts.calls import current_calls
from zerotrust.receipts.carried import HEADER
from zerotrust.receipts.receipt import NOT_SENT
from zerotrust.registry.snapshot import RegistrySnapshot
from zerotrust.revocation import Revocations
from zerotrust.transport.jsonrpc import error_body


@asynccontextmanager
async def while_trusted(party: str, revocations: Revocations, life: asyncio.Timeout) -> AsyncIterator[None]:
    """Run the block, in which `party` is called or answers, until `life` ends.

    If the party is suspended in that time, the block ends at once and raises `Denied`: `peer_revoked`, and the call may
    have taken effect (`begun`).  It gets no time to go on, as a caller's handler does (`gate.py`), because a
    compromised party would answer in it.  Raises `TimeoutError` when `life` ends.
    """
    ending: Denied | None = None

    def on_revoked(decision: Decision) -> None:
        nonlocal ending
        ending = Denied(decision.reason, decision.detail, more=BEGUN)
        if not life.expired():
            life.reschedule(0)

    try:
        async with life:
            with revocations.watching_peer(party, on_revoked):  # control: suspension-ends-call
                yield
    except Exception as error:
        if ending:
            raise ending from error
        raise
    if ending:  # the answer was complete at that moment
        raise ending


_outgoing: ContextVar[tuple[ExchangedToken, int]] = ContextVar("outgoing_token")
"""The token of a call, and the elements that its answer may have."""
_WITHOUT_TOKEN = None, MAX_ELEMENTS

_LONGEST = 120
"""Seconds that a call may take, even if its token is valid for longer."""

# These errors mean that the request was not sent, so it cannot have taken effect.
_NOT_SENT = tuple(
    error
    for library in (httpx, httpx2)
    for error in (library.ConnectError, library.ConnectTimeout, library.PoolTimeout)
)

_CALL = "zerotrust.call"
"""The extension of a request with the notes for the receipt."""


@contextmanager
def calling_with(token: ExchangedToken, *, elements: int = MAX_ELEMENTS) -> Iterator[None]:
    """Send `token` with the calls of this block.  Other tasks, and so other users, are not affected.

    `elements`: the most that the JSON of an answer may have.
    """
    before = _outgoing.set((token, elements))
    try:
        yield
    finally:
        _outgoing.reset(before)


def _time_left() -> asyncio.Timeout:
    token, _ = _outgoing.get(_WITHOUT_TOKEN)
    return asyncio.timeout(min(_LONGEST, token.expires_at - time.time() - REPORTING_MARGIN) if token else _LONGEST)


@contextmanager
def _noting_failure(request: Any) -> Iterator[None]:
    try:
        yield
    except (*_NOT_SENT, Denied) as error:
        if call := request.extensions.get(_CALL):
            call.note_reason(str(error.reason) if isinstance(error, Denied) else NOT_SENT)
        raise


async def _send_whole(
    sending: Callable[..., Awaitable[Any]], request: Any, options: dict[str, Any], revocations: Revocations
) -> tuple[Any, bytes]:
    """Send a request and read its answer to the end.

    Raises `Denied`, `TimeoutError`, `ValueError` and the client's errors.
    """
    token, most = _outgoing.get(_WITHOUT_TOKEN)
    with _noting_failure(request):
        async with while_trusted(token.audience if token else "", revocations, _time_left()):
            answer = await sending(request, **options | {"stream": True})  # control: request-sent-once
            try:
                body = await read(answer)
                check_size(body, most)  # control: answer-elements
            finally:
                await answer.aclose()
    if call := request.extensions.get(_CALL):
        body = call.note_answer(body, answer.headers.get(HEADER))
    return answer, body


class _Bounded(httpx.AsyncClient):
    """Reads every answer to its end; size and time are bounded."""

    def __init__(self, revocations: Revocations, **options: Any) -> None:
        super().__init__(**options)
        self._revocations = revocations

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        try:
            answer, body = await _send_whole(super().send, request, options, self._revocations)
        except TimeoutError as error:
            raise httpx.ReadTimeout("no whole answer in time", request=request) from error
        except ValueError as error:
            raise httpx.RemoteProtocolError(str(error), request=request) from error
        return httpx.Response(answer.status_code, headers=answer.headers, content=body, request=request)


class _Answering(httpx2.AsyncClient):
    """Does the same, and answers instead of raising errors, which would end the MCP client that all users share."""

    def __init__(self, revocations: Revocations, **options: Any) -> None:
        super().__init__(**options)
        self._revocations = revocations

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        try:
            answer, body = await _send_whole(super().send, request, options, self._revocations)
        except (httpx2.HTTPError, Denied, TimeoutError, ValueError) as error:
            lost = Reason.PEER_UNAVAILABLE if isinstance(error, _NOT_SENT) else Reason.ANSWER_LOST
            refusal = error if isinstance(error, Denied) else Denied(lost)
            problem = {"error": refusal.error, "reason": refusal.public_reason, **refusal.more}
            content = error_body(refusal, problem, Form())
            return httpx2.Response(refusal.status, json=content, request=request)
        return httpx2.Response(answer.status_code, headers=answer.headers, content=body, request=request)


class EgressClients:
    """HTTP clients that attach the current call's token, one for each library of the SDKs; and two that attach none.

    All read each answer to its end.
    """

    def __init__(
        self,
        addresses: Mapping[str, str],
        *,
        revocations: Revocations,
        transport: httpx.AsyncBaseTransport,
        mcp_transport: httpx2.AsyncBaseTransport,
        to_authorities: Connections | None = None,
    ) -> None:
        """`addresses`: the origin of each party that may be called, by its SPIFFE ID.

        `to_authorities`: connects to the authorities; by default, `transport` does.
        """
        self._audiences, self._revocations = _by_origin(addresses), revocations
        self._transports = transport, mcp_transport
        self.without_token = _Bounded(revocations, headers=PLAIN, timeout=SECONDS, transport=transport)
        self._to_authorities, self.to_authorities = to_authorities, to_authorities or transport
        self.authorities = _Bounded(revocations, headers=PLAIN, timeout=SECONDS, transport=self.to_authorities)
        """The client for the registry, the audit log and the policy authority, by certificate alone."""
        # The next two have no timeout of their own: each call ends with its token.
        how: dict[str, Any] = {"headers": PLAIN, "timeout": None, "event_hooks": {"request": [self._attach_token]}}
        self.http = _Bounded(revocations, transport=transport, **how)
        self.mcp_http = _Answering(revocations, transport=mcp_transport, **how)

    def use(self, snapshot: RegistrySnapshot, caller: str) -> None:
        """Switch to another registry snapshot, as the party of that name."""
        self._audiences = _by_origin(snapshot.callees())
        for transport in self._transports:
            if isinstance(transport, Connections | MCPConnections):
                transport.use(snapshot.directory(caller))
        if self._to_authorities:
            self._to_authorities.use(snapshot.authorities())

    async def _attach_token(self, request: httpx.Request | httpx2.Request) -> None:
        party = self._audiences.get(origin(request.url))
        token, _ = _outgoing.get()
        if token.audience != party:  # control: token-for-its-audience
            raise Denied(Reason.WOULD_WIDEN, "a token is for one party, and this call goes to another")
        if not (status := self._revocations.check_peer(party)):  # control: no-call-to-suspended-peer
            raise Denied(status.reason, status.detail)
        request.headers["authorization"] = f"Bearer {token.value}"
        request.headers["traceparent"] = current_request().span.traceparent
        if calls := current_calls():
            noted = calls.note_call(token.audience, token.token_id, await request.aread())
            request.extensions = {**request.extensions, _CALL: noted}

    async def close(self) -> None:
        for client in (self.without_token, self.authorities, self.http, self.mcp_http):
            await client.aclose()


def _by_origin(addresses: Mapping[str, str]) -> dict[str, str]:
    return {origin(httpx.URL(address)): party for party, address in addresses.items()}
