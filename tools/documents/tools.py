"""The tools: decide about the document in question, and act.

The gate has decided by scope.  Decisions by the data (department, state, owner) are made and recorded here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel

from tools.documents.document import MAX_TEXT, Document, Entry, Id, Text, Title, absent_document, digest, new_id, size
from tools.documents.store import Store
from zerotrust.audit.event_parts import Effect
from zerotrust.context import current_principal
from zerotrust.decision import Reason
from zerotrust.service import Service

TOOLS = {
    "search": "tool.read",
    "read": "tool.read",
    "create": "tool.write",
    "replace": "tool.write",
    "delete": "tool.write",
}


READS = ToolAnnotations(read_only_hint=True)
"""An agent may repeat such a call; any other, once it has succeeded, is not made again in the same task."""


class Found(BaseModel):
    """A search result: ids and titles of documents that the user may read."""

    documents: list[dict[str, str]]


def declare(server: MCPServer[None], service: Service, store: Store) -> None:
    """Declare the five tools.  Their approved descriptions are made from these declarations."""

    async def permitted(action: str, name: str, effect: Callable[[Document], Effect] | None = None) -> Document:
        # Decide about a document that does not exist as well: the same steps, the same record, and so the same time.
        found = await store.find(name)
        missing = ToolError(f"there is no document {name} that this call may {action.partition('.')[2]}")
        document = found or absent_document(name)
        resource, done = document.as_resource(), effect(document) if effect else None
        # If the user may read the document, the agent is told that a rule refuses; otherwise, that there is none.
        known = await service.permitted("document.read", [document], Document.as_resource, scope=TOOLS["read"])
        # control: unreadable-document-unnamed
        refusal = ToolError(f"refused ({Reason.RESOURCE_DENIED})") if known else missing
        # control: absent-document-decided
        await service.decide(action, resource, otherwise=refusal, effect=done)  # control: document-access-decided
        if found is None:
            raise missing
        return found

    @contextmanager
    def telling_failures() -> Iterator[None]:
        """Record that a permitted change failed: the record of the decision says that it was to be made."""
        try:
            yield
        except ToolError:
            service.not_done("nothing was written")
            raise

    @server.tool(annotations=READS)
    async def search(query: str) -> Found:
        """Find documents by the words of their titles."""
        matching = await store.search(query, service.department(), current_principal().subject)
        # control: search-result-permitted
        found = await service.permitted("document.read", matching, Document.as_resource)
        return Found(documents=[{"id": d.id, "title": d.title} for d in found])

    @server.tool(annotations=READS)
    async def read(id: Id) -> Document:
        """Read one document."""
        document = await permitted("document.read", id)
        if size(document.text) > MAX_TEXT:  # stored before there was a limit; the answer would exceed the caller's
            raise ToolError(f"{id} is too long to be read")
        return document

    @server.tool()
    async def create(title: Title, text: Text) -> Document:
        """File a new draft in the department that the task works in."""
        user = current_principal()
        draft = Document(id=new_id(), title=title, text=text, department=service.department(), owner=user.subject)
        refusal, effect = ToolError("this may not be filed"), Effect(after=digest(draft))
        # control: draft-creation-decided
        await service.decide("document.create", draft.as_resource(), otherwise=refusal, effect=effect)
        with telling_failures():
            await store.add(draft)
        return draft

    @server.tool()
    async def replace(id: Id, text: Text) -> Document:
        """Replace the text of a draft of the same user."""

        def replaced(draft: Document) -> Document:
            return draft.model_copy(update={"text": text})

        def effect(draft: Document) -> Effect:
            return Effect(before=digest(draft), after=digest(replaced(draft)))

        draft = await permitted("document.replace", id, effect)
        with telling_failures():
            if not await store.replace(draft, text):
                raise ToolError(f"{id} has changed since")
        return replaced(draft)

    @server.tool()
    async def delete(id: Id) -> Entry:
        """Delete a draft of the same user."""
        draft = await permitted("document.delete", id, lambda it: Effect(before=digest(it)))
        with telling_failures():
            if not await store.remove(draft):
                raise ToolError(f"{id} has changed since")
        return Entry.model_validate(draft.model_dump())
