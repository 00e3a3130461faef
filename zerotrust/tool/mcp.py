"""Serves tools (MCP 2026-07-28) behind the gate, with the official SDK."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import CallToolResult, InputRequiredResult
from pydantic import ValidationError
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zerotrust import VERSION
from zerotrust.decision import Denied, Reason
from zerotrust.receipts.carried import META
from zerotrust.service import Service
from zerotrust.transport.jsonrpc import JSON_RPC

PATH = "/mcp"
METADATA_PATH = "/.well-known/oauth-protected-resource/mcp"
GUARD_ARGUMENTS: dict[str, Any] = {"metadata_path": METADATA_PATH, "dialects": {PATH: JSON_RPC}}
"""The arguments of `Service.guard` for a tool server."""

_REASONS = {421: Reason.WRONG_HOST, 403: Reason.WRONG_ORIGIN}
"""Why the SDK's transport refuses, by its status; with any other status, a header is malformed."""


class _Server(MCPServer[Any]):
    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool as the SDK does, but report invalid arguments without quoting them or pydantic."""
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if not isinstance(error.__cause__, ValidationError):
                raise
            wrong = {str(found["loc"][0]) for found in error.__cause__.errors()}
            raise ToolError(f"{name}: missing, too long or no text: {', '.join(sorted(wrong))}") from None


def tool_server(service: Service, tools: Mapping[str, str]) -> MCPServer[Any]:
    """Return a server for `tools` (name to permission), which lists to each caller only the tools it may call."""

    async def only_what_is_served(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        result = await call_next(ctx)
        if ctx.method == "tools/list":
            assert isinstance(result, dict)  # noqa: S101 - for the type checker: nothing else can be listed
            usable = await service.usable(tools.values())
            # control: listed-tools-permitted
            listed = [tool for tool in result["tools"] if tools[tool["name"]] in usable]
            result = {**result, "tools": listed}
        if ctx.method == "server/discover":  # the SDK advertises prompts and resources, and the gate admits no caller
            assert isinstance(result, dict)  # noqa: S101 - as above
            result = {**result, "capabilities": {"tools": result["capabilities"]["tools"]}}
        if isinstance(result, dict):  # a place for the receipts, which the gate fills
            result = {**result, "_meta": {**result.get("_meta", {}), META: ""}}
        return result

    server = _Server(service.name, version=VERSION, subscriptions=False, middleware=[only_what_is_served])
    # It would make spans for no collector: the spans of a trace are in the journals.
    server.middleware[:] = [one for one in server.middleware if type(one).__name__ != "OpenTelemetryMiddleware"]
    return server


def tool_app(service: Service, server: MCPServer[Any], *resources: AbstractAsyncContextManager[Any]) -> FastAPI:
    """Return the server as an app: stateless, with JSON answers, and with its RFC 9728 metadata."""
    address = service.addresses[service.name]
    host = str(urlsplit(address).hostname)
    server.streamable_http_app(  # creates the session manager; the app is not used
        stateless_http=True,  # control: mcp-stateless
        json_response=True,
        transport_security=TransportSecuritySettings(allowed_hosts=[host]),  # control: mcp-host
    )
    app = service.app(*resources, server.session_manager.run())
    # First in the list, because the router tries its routes in order.
    app.router.routes.insert(0, Route(PATH, _Refusing(server.session_manager.handle_request, host), methods=["POST"]))

    @app.get(METADATA_PATH)
    async def metadata() -> dict[str, Any]:
        return {
            "resource": f"{address}{PATH}",
            "authorization_servers": [service.issuer],
            "scopes_supported": service.registry.scopes_at(service.name),
            "bearer_methods_supported": ["header"],
        }

    return app


class _Refusing:
    """Wraps the app, and raises a refusal for each error answer of its transport that is not JSON.

    The transport compares `Host` byte by byte, so it gets our name as we write it, without a port of ours.
    """

    def __init__(self, app: ASGIApp, name: str) -> None:
        self._app, self._name = app, name.encode()

    def _is_ours(self, host: bytes, scope: Scope) -> bool:
        """Return whether a `Host` is our name in any case (RFC 9110 section 4.2.3), without a port or with one of ours
        (7.2).  Ours are the port of the connection, and the default of https.
        """
        name, colon, port = host.partition(b":")
        ours = {443, *(scope.get("server") or ())[1:]}
        return name.lower() == self._name and (not colon or port in {str(one).encode() for one in ours})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(n, self._name if n == b"host" and self._is_ours(v, scope) else v) for n, v in scope["headers"]]
        scope = {**scope, "headers": headers}
        refused: Reason | None = None

        async def send_and_note(message: Message) -> None:
            nonlocal refused
            status = message.get("status", 200)
            if status >= 400 and (b"content-type", b"application/json") not in message["headers"]:
                refused = _REASONS.get(status, Reason.MALFORMED_HEADERS)
            if not refused:
                await send(message)

        await self._app(scope, receive, send_and_note)
        if refused:
            raise Denied(refused)
