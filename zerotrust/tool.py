"""A tool server (MCP 2026-07-28) behind the gate, over the official SDK."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings

from zerotrust.service import Service

PATH = "/mcp"
METADATA_PATH = "/.well-known/oauth-protected-resource/mcp"


def tool_server(service: Service, tools: Mapping[str, str]) -> MCPServer[Any]:
    """A server for `tools` (name to permission) that lists to each caller only what that caller may call."""

    async def only_callable(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        result = await call_next(ctx)
        if ctx.method == "tools/list" and isinstance(result, dict):
            listed = [tool for tool in result["tools"] if service.may_use(tools[tool["name"]])]
            result = {**result, "tools": listed}
        return result

    return MCPServer(service.name, subscriptions=False, middleware=[only_callable])


def tool_app(service: Service, server: MCPServer[Any], *resources: AbstractAsyncContextManager[Any]) -> FastAPI:
    """The server as an app: stateless, JSON answers, and its RFC 9728 metadata beside it."""
    address = service.addresses[service.name]
    mcp = server.streamable_http_app(
        streamable_http_path=PATH,
        stateless_http=True,
        json_response=True,
        transport_security=TransportSecuritySettings(allowed_hosts=[urlsplit(address).netloc]),
    )
    # A mounted app's own lifespan does not run; this one does what it would.
    app = service.app(*resources, server.session_manager.run())

    @app.get(METADATA_PATH)
    async def metadata() -> dict[str, Any]:
        return {
            "resource": f"{address}{PATH}",
            "authorization_servers": [service.issuer],
            "scopes_supported": service.registry.scopes_at(service.name),
            "bearer_methods_supported": ["header"],
        }

    app.mount("/", mcp)
    return app
