"""The documents tool on the same SDK, without gate and TLS: what fails here as well is not caused by the gate.

It is the SDK's server with its defaults, so it speaks every protocol version and is open.  For this comparison only.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import MCPServer

from lab.bench.party.unguarded import Unguarded
from lab.conformance.serving import hosting
from tools.documents.store import Store
from tools.documents.tools import declare


@asynccontextmanager
async def bare_tool(folder: Path) -> AsyncIterator[str]:
    """Serve the tool for a block, and yield the URL of its endpoint."""
    store, nobody = Store(folder / "bare.db"), object.__new__(Unguarded)  # which says yes, and needs no parts for that
    server = MCPServer[Any]("documents", log_level="CRITICAL")  # otherwise it configures its own log
    declare(server, nobody, store)
    app = nobody.guard(server.streamable_http_app(stateless_http=True, json_response=True), {})
    async with store.open(), hosting(app) as origin:
        yield f"{origin}/mcp"
