"""The documents tool over the same SDK, with neither gate nor TLS: what fails here as well is not the gate's doing.

It is the SDK's own server with its defaults, so it speaks every era and lets everybody in.  For this comparison alone.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from mcp.server.mcpserver import MCPServer
from starlette.types import ASGIApp, Receive, Scope, Send

from lab.bench.party.unguarded import ANYBODY
from lab.conformance.serving import served
from tools.documents.store import Store
from tools.documents.tools import declare
from zerotrust.context import PRINCIPAL
from zerotrust.decision import Decision, Reason, Resource
from zerotrust.service import Service


@dataclass(frozen=True, slots=True)
class _Nobody:
    """Stands for a service whose every answer is yes."""

    async def decide(self, _action: str, _resource: Resource) -> Decision:
        return Decision(allowed=True, reason=Reason.GRANTED)

    def department(self) -> str:
        return "/engineering"

    def permits(self, _action: str, _resource: Resource) -> bool:
        return True


@asynccontextmanager
async def bare(folder: Path) -> AsyncIterator[str]:
    """Serve it, and yield the URL of its endpoint."""
    store = Store(folder / "bare.db")
    server = MCPServer[Any]("documents", log_level="CRITICAL")  # else it sets up a log of its own
    declare(server, cast("Service", _Nobody()), store)
    app = server.streamable_http_app(stateless_http=True, json_response=True)
    async with store.opened(), served(_for_anybody(app)) as origin:
        yield f"{origin}/mcp"


def _for_anybody(app: ASGIApp) -> ASGIApp:
    async def called(scope: Scope, receive: Receive, send: Send) -> None:
        PRINCIPAL.set(ANYBODY)
        await app(scope, receive, send)

    return called
