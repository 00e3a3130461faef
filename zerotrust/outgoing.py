"""The way out: a token leaves only with the call it was narrowed for, and only to the party it names."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpx
import httpx2

from zerotrust.errors import Refusal
from zerotrust.exchange import NarrowedToken
from zerotrust.gate import current_trace
from zerotrust.mcp import error_body
from zerotrust.policy import Reason

_token: ContextVar[NarrowedToken] = ContextVar("outgoing_token")

# A connection is kept longer than a pause between calls, and given up before the server gives it up (75 s).
_KEEP_ALIVE = 60
_PATIENCE = 30


@contextmanager
def calling_with(token: NarrowedToken) -> Iterator[None]:
    """Let the calls of this block carry `token`.  Other tasks, so other users, are not touched."""
    before = _token.set(token)
    try:
        yield
    finally:
        _token.reset(before)


class _Answering(httpx2.AsyncClient):
    """Answers for whoever cannot be reached.  One exception would end the MCP client, which all users share."""

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        try:
            answer = await super().send(request, **options)
            await answer.aread()  # it may break off, too
        except (httpx2.HTTPError, Refusal) as error:
            refusal = error if isinstance(error, Refusal) else Refusal(Reason.PEER_UNAVAILABLE)
            problem = {"error": refusal.error, "reason": refusal.told}
            return httpx2.Response(refusal.status, json=error_body(None, problem), request=request)
        return answer


class Outgoing:
    """One HTTP client of each kind that the SDKs want; both attach the token of the current call."""

    def __init__(
        self,
        addresses: Mapping[str, str],
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        mcp_transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """`addresses`: the origin, `http://host:port`, of each party that may be called, by its SPIFFE ID."""
        self._audiences = {_origin(httpx.URL(address)): party for party, address in addresses.items()}
        self.http = httpx.AsyncClient(
            event_hooks={"request": [self._attach]},
            timeout=_PATIENCE,
            limits=httpx.Limits(max_connections=100, keepalive_expiry=_KEEP_ALIVE),
            transport=transport,
            trust_env=False,  # a proxy from the environment would see every token
        )
        self.mcp_http = _Answering(
            event_hooks={"request": [self._attach]},
            timeout=_PATIENCE,
            limits=httpx2.Limits(max_connections=100, keepalive_expiry=_KEEP_ALIVE),
            transport=mcp_transport,
            trust_env=False,
        )

    async def _attach(self, request: httpx.Request | httpx2.Request) -> None:
        token = _token.get()
        if self._audiences.get(_origin(request.url)) != token.audience:
            raise Refusal(Reason.WOULD_WIDEN, "a token is for one party, and this call goes to another")
        request.headers["authorization"] = f"Bearer {token.value}"
        request.headers["traceparent"] = f"00-{current_trace()}-{'0' * 15}1-01"

    async def close(self) -> None:
        """Close both clients."""
        await self.http.aclose()
        await self.mcp_http.aclose()


def _origin(url: httpx.URL | httpx2.URL) -> str:
    return f"{url.scheme}://{url.host}:{url.port}"
