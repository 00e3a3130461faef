"""Documents: an MCP tool server (MCP 2026-07-28).  Five tools, two scopes, and a second decision for each document.

This module has what the gate requires; `tools.py` has what each tool decides and does.
"""

from starlette.types import ASGIApp

from tools.documents.store import Store
from tools.documents.tools import TOOLS, declare
from zerotrust.routes import Public, Routes
from zerotrust.runtime import run
from zerotrust.service import Service
from zerotrust.tool.mcp import GUARD_ARGUMENTS, METADATA_PATH, PATH, tool_app, tool_server
from zerotrust.tool.mcp_tools import McpTools

ROUTES: Routes = {
    ("POST", PATH): McpTools(TOOLS),
    ("GET", METADATA_PATH): Public(),
    ("GET", "/health"): Public(),
}


def create_app(service: Service) -> ASGIApp:
    """Return the documents tool, guarded."""
    store, server = Store(service.data / "documents.db"), tool_server(service, TOOLS)
    declare(server, service, store)
    return service.guard(tool_app(service, server, store.open()), ROUTES, **GUARD_ARGUMENTS)


if __name__ == "__main__":
    run("tool/documents", create_app)
