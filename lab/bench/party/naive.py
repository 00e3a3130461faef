"""A service that is secure the obvious way: it asks Keycloak about every call, and makes a new client for each."""

from collections.abc import Callable
from typing import Any

import httpx
import httpx2
from starlette.types import ASGIApp, Receive, Scope, Send

from zerotrust.issuer.discovery import Discovery
from zerotrust.issuer.exchange import CLIENT_ASSERTION
from zerotrust.registry.directory import Directory
from zerotrust.routes import Routes
from zerotrust.service import Service
from zerotrust.spiffe.tls import issuer_context
from zerotrust.transport.egress import EgressClients
from zerotrust.transport.pools import Connections, MCPConnections, origin


class _New(httpx.AsyncBaseTransport):
    """A TLS context, a pool and a handshake for one call: that, and little else, is what a new client is."""

    def __init__(self, make: Callable[[], Connections]) -> None:
        self._make = make

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        async with self._make() as once:
            answer: httpx.Response = await once.handle_async_request(request)
            await answer.aread()
        return answer


class _NewMcp(httpx2.AsyncBaseTransport):
    """The same for the HTTP client of the MCP SDK."""

    def __init__(self, make: Callable[[], MCPConnections]) -> None:
        self._make = make

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        async with self._make() as once:
            answer: httpx2.Response = await once.handle_async_request(request)
            await answer.aread()
        return answer


class Naive(Service):
    """The real gate, and before it an introspection (RFC 7662) of every token; no connection is ever used again."""

    def __init__(self, name: str, **parts: Any) -> None:
        known, workload, issuer = parts["known"], parts["workload"], httpx.URL(parts["issuer"])
        directory = known.directory()
        at_issuer = Directory({origin(issuer): issuer.host}, {})
        parts["egress"] = EgressClients(
            known.called(),
            revocations=parts["revocations"],
            transport=_New(lambda: Connections(directory, workload.svid)),
            mcp_transport=_NewMcp(lambda: MCPConnections(directory, workload.svid)),
        )
        parts["identity_http"] = httpx.AsyncClient(
            transport=_New(lambda: Connections(at_issuer, workload.svid, issuer_context)), timeout=10
        )
        super().__init__(name, **parts)
        self._discovery = Discovery(self.issuer, http=self._identity_http)

    def guard(self, app: ASGIApp, routes: Routes, **how: Any) -> ASGIApp:
        """Introspect, then do all that the real gate does."""
        guarded = super().guard(app, routes, **how)

        async def introspecting(scope: Scope, receive: Receive, send: Send) -> None:
            if bearer := dict(scope.get("headers", ())).get(b"authorization"):
                await self._ask_keycloak(bearer.decode().partition(" ")[2])
            await guarded(scope, receive, send)

        return introspecting

    async def _ask_keycloak(self, token: str) -> None:
        form = {
            "client_assertion_type": CLIENT_ASSERTION,
            "client_assertion": await self.workload.assertion(self.issuer),
            "token": token,
        }
        endpoint = (await self._discovery.metadata()).introspection_endpoint
        answer = await self._identity_http.post(endpoint, data=form)
        if not answer.json()["active"]:
            raise PermissionError("not active")
