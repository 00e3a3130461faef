"""Documents: the tool (MCP 2026-07-28).  Four operations, two scopes, and a second decision once the document is known.

The gate has decided by scope.  What only the data can tell (department, state, owner) is decided and recorded here.
"""

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel
from starlette.types import ASGIApp

from tools.documents.store import Document, Id, Store, Title, new_id
from zerotrust.current import current_principal
from zerotrust.gate import PUBLIC, Permissions
from zerotrust.mcp import ToolPermissions
from zerotrust.run import run
from zerotrust.service import Service
from zerotrust.tool import AT_THE_DOOR, METADATA_PATH, PATH, tool_app, tool_server

TOOLS = {"search": "tool.read", "read": "tool.read", "create": "tool.write", "replace": "tool.write"}
PERMISSIONS: Permissions = {
    ("POST", PATH): ToolPermissions(TOOLS),
    ("GET", METADATA_PATH): PUBLIC,
    ("GET", "/health"): PUBLIC,
}


class Found(BaseModel):
    """What a search finds: ids and titles of documents that the user may read."""

    documents: list[dict[str, str]]


def create_app(service: Service) -> ASGIApp:
    """The documents tool, guarded."""
    store, server = Store(service.data / "documents.db"), tool_server(service, TOOLS)
    declare(server, service, store)
    return service.guard(tool_app(service, server, store.opened()), PERMISSIONS, **AT_THE_DOOR)


def declare(server: MCPServer[None], service: Service, store: Store) -> None:
    """The four tools; what is approved of them is listed from here."""

    async def permitted(action: str, name: str) -> Document:
        document = await store.find(name)
        if document is None or not await service.decide(action, document.as_resource()):
            raise ToolError(f"there is no document {name} for {action}")  # somebody else's looks just the same
        return document

    @server.tool()
    async def search(query: str) -> Found:
        """Find documents by the words of their titles."""
        found = [d for d in await store.search(query) if service.permits("document.read", d.as_resource())]
        return Found(documents=[{"id": d.id, "title": d.title} for d in found])

    @server.tool()
    async def read(id: Id) -> Document:
        """Read one document."""
        return await permitted("document.read", id)

    @server.tool()
    async def create(title: Title, text: str) -> Document:
        """File a new draft in the department that the task works in."""
        user = current_principal()
        draft = Document(id=new_id(), title=title, text=text, department=service.department(), owner=user.subject)
        if not await service.decide("document.create", draft.as_resource()):
            raise ToolError("this may not be filed")
        await store.add(draft)
        return draft

    @server.tool()
    async def replace(id: Id, text: str) -> Document:
        """Replace the text of a draft of the same user."""
        draft = await permitted("document.replace", id)
        if not await store.replace(draft, text):
            raise ToolError(f"{id} has changed meanwhile")
        return draft.model_copy(update={"text": text})


if __name__ == "__main__":
    run("tool/documents", create_app)
