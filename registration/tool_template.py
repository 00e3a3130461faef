"""Example: an MCP tool server (MCP 2026-07-28) with one tool and one scope.

Before a tool runs, the gate has verified, decided by scope, and recorded.
"""

from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations
from pydantic import BaseModel
from starlette.types import ASGIApp

from zerotrust.context import current_principal
from zerotrust.routes import Public, Routes
from zerotrust.runtime import run
from zerotrust.service import Service
from zerotrust.tool.mcp import GUARD_ARGUMENTS, METADATA_PATH, PATH, tool_app, tool_server
from zerotrust.tool.mcp_tools import McpTools

TOOLS = {"example": "tool.example"}
"""Each tool, and the scope that a caller needs for it."""

READS = ToolAnnotations(read_only_hint=True)
"""A tool that changes nothing, so that an agent may call it again."""

ROUTES: Routes = {
    ("POST", PATH): McpTools(TOOLS),
    ("GET", METADATA_PATH): Public(),
    ("GET", "/health"): Public(),
}


class Found(BaseModel):
    """The tool's answer."""

    text: str
    asked_for: str
    """The user, not the party that calls for them."""


def declare(server: MCPServer[None], _service: Service, _store: None) -> None:
    """Declare the tools.  Their approved descriptions are made from these declarations."""

    @server.tool(annotations=READS)
    async def example(query: str) -> Found:
        """Count the words of a query."""
        return Found(text=f"{len(query.split())} words", asked_for=current_principal().subject)


def create_app(service: Service) -> ASGIApp:
    """Return the tool server, guarded."""
    server = tool_server(service, TOOLS)
    declare(server, service, None)
    return service.guard(tool_app(service, server), ROUTES, **GUARD_ARGUMENTS)


if __name__ == "__main__":
    run("tool/example", create_app)
