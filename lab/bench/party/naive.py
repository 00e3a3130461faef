"""A service that is secure the obvious way: it asks Keycloak about every call, and makes a new client for each."""

from typing import Any

import httpx
import httpx2
from starlette.types import ASGIApp, Receive, Scope, Send

from zerotrust.exchange import CLIENT_ASSERTION
from zerotrust.gate import Permissions
from zerotrust.outgoing import Outgoing
from zerotrust.service import Service


class _New(httpx.AsyncBaseTransport):
    """A pool and a TLS context for one call: that, and little else, is what a new client is."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        async with httpx.AsyncHTTPTransport() as once:
            answer = await once.handle_async_request(request)
            await answer.aread()
        return answer


class _NewMcp(httpx2.AsyncBaseTransport):
    """The same for the HTTP client of the MCP SDK."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        async with httpx2.AsyncHTTPTransport() as once:
            answer = await once.handle_async_request(request)
            await answer.aread()
        return answer


class Naive(Service):
    """The real gate, and before it an introspection (RFC 7662) of every token; no connection is ever used again."""

    def __init__(self, name: str, **parts: Any) -> None:
        known = {parts["registry"].id(peer): url for peer, url in parts["addresses"].items()}
        parts["outgoing"] = Outgoing(known, transport=_New(), mcp_transport=_NewMcp())
        parts["identity_http"] = self._http = httpx.AsyncClient(transport=_New())
        self._workload = parts["workload"]
        super().__init__(name, **parts)

    def guard(self, app: ASGIApp, permissions: Permissions, *, metadata_path: str | None = None) -> ASGIApp:
        """Introspect, then do all that the real gate does."""
        guarded = super().guard(app, permissions, metadata_path=metadata_path)

        async def introspecting(scope: Scope, receive: Receive, send: Send) -> None:
            if bearer := dict(scope.get("headers", ())).get(b"authorization"):
                await self._introspect(bearer.decode().partition(" ")[2])
            await guarded(scope, receive, send)

        return introspecting

    async def _introspect(self, token: str) -> None:
        form = {
            "client_assertion_type": CLIENT_ASSERTION,
            "client_assertion": await self._workload.assertion(self.issuer),
            "token": token,
        }
        answer = await self._http.post(f"{self.issuer}/protocol/openid-connect/token/introspect", data=form)
        if not answer.json()["active"]:
            raise PermissionError("not active")
