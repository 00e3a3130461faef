"""The documents tool (MCP): it serves everyone who has its key, and does not know for which user."""

import secrets
from pathlib import Path
from typing import Any

import jwt
import yaml
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

SEED = Path(__file__).parents[2] / "tools" / "documents" / "seed.yaml"
"""The documents of our own tool."""


class Documents:
    """All documents, and what the tool can record about each call."""

    def __init__(self, key: str, *, header: str = "") -> None:
        """`header` has the key; without one, the key comes as a bearer token."""
        self._wanted = (header, key) if header else ("authorization", f"Bearer {key}")
        self.record = list[str]()
        self.received: dict[str, str] = {}
        """The headers of the last call that was admitted: whoever is inside the tool has them."""
        self.reset()

    def reset(self) -> None:
        """Start again from the seed."""
        self.all: dict[str, dict[str, str]] = {one["id"]: one for one in yaml.safe_load(SEED.read_text())}
        self.record.clear()

    def app(self) -> ASGIApp:
        """Return the tool server; it looks at the key, and at nothing else."""
        mcp = self._server().streamable_http_app(stateless_http=True, json_response=True)
        return _KeyRequired(mcp, self._wanted, self.received)

    def _note(self, what: str) -> None:
        """Record a call with all that it says about its caller: the key, and the client of a token that came along."""
        self.record.append(f"{what}, with the key{_client(self.received.get('authorization', ''))}")

    def _server(self) -> MCPServer[Any]:
        server = MCPServer[Any]("documents", log_level="WARNING")

        def found(name: str) -> dict[str, str]:
            if name not in self.all:
                raise ToolError(f"there is no document {name}")
            return self.all[name]

        @server.tool()
        def search(query: str) -> dict[str, Any]:
            """Find documents by the words of their titles."""
            self._note(f"search {query.strip()!r}")
            words = [word.strip(".,;:!?").rstrip("s").lower() for word in query.split() if len(word) > 4]
            hits = [one for one in self.all.values() if any(word in one["title"].lower() for word in words)]
            return {"documents": [{"id": one["id"], "title": one["title"]} for one in hits]}

        @server.tool()
        def read(id: str) -> dict[str, str]:
            """Read one document."""
            self._note(f"read {id}")
            return found(id)

        @server.tool()
        def create(title: str, text: str) -> dict[str, str]:
            """File a new document."""
            name = f"DRAFT-{secrets.token_hex(4)}"
            self._note(f"create {name}")
            self.all[name] = {"id": name, "title": title, "text": text}
            return self.all[name]

        @server.tool()
        def replace(id: str, text: str) -> dict[str, str]:
            """Replace the text of a document."""
            self._note(f"replace {id}")
            self.all[id] = found(id) | {"text": text}
            return self.all[id]

        return server


def _client(authorization: str) -> str:
    try:
        claims = jwt.decode(authorization.removeprefix("Bearer "), options={"verify_signature": False})
    except jwt.InvalidTokenError:  # none, or the key
        return ""
    return f", azp={claims.get('azp', '')}"


class _KeyRequired:
    def __init__(self, app: Starlette, wanted: tuple[str, str], received: dict[str, str]) -> None:
        self._app, self._wanted, self._received = app, wanted, received

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope.get("headers", ())}
        name, key = self._wanted
        if scope["type"] == "http" and headers.get(name) != key:
            await JSONResponse({"error": "wrong key"}, 401)(scope, receive, send)
            return
        self._received.update(headers)
        await self._app(scope, receive, send)
