"""The documents, in SQLite.  It finds and keeps; who may see or change what is decided before it is asked."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, Field
from sqlalchemy import Column, MetaData, String, Table, Text, and_, func, insert, or_, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from zerotrust.policy import Resource

SHORTEST_WORD, LONGEST_WORD, MOST_WORDS = 5, 50, 50
"""Letters of a word that is worth searching for; and how many of them are, in one query."""

Id = Annotated[str, Field(max_length=64)]
Title = Annotated[str, Field(max_length=200)]

_documents = Table(
    "documents",
    MetaData(),
    Column("id", String, primary_key=True),
    Column("title", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("department", String, nullable=False),
    Column("state", String, nullable=False),
    Column("owner", String, nullable=False),
)


class Document(BaseModel):
    """One document: a draft of its owner, or published for its department."""

    id: str
    title: str
    text: str
    department: str
    state: str = "draft"
    owner: str

    def as_resource(self) -> Resource:
        """What the policies may know of it; not what it says."""
        known = (("department", self.department), ("state", self.state), ("owner", self.owner))
        return Resource("Document", self.id, known)


R = TypeVar("R")


def finished(work: Callable[..., Coroutine[Any, Any, R]]) -> Callable[..., Coroutine[Any, Any, R]]:
    """What has begun at the database is finished, also where whoever asked is cut off: a connection is given back."""

    @wraps(work)
    async def whole(store: "Store", *asked: Any) -> R:
        store.under_way.add(task := asyncio.create_task(work(store, *asked)))
        task.add_done_callback(store.under_way.discard)
        return await asyncio.shield(task)

    return whole


class Store:
    """All documents of all departments."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine: AsyncEngine | None = None
        self.under_way: set[asyncio.Task[Any]] = set()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open the database; a new one begins with the documents of `seed.yaml`."""
        self._engine = create_async_engine(f"sqlite+aiosqlite:///{self._path}")
        try:
            async with self._engine.begin() as connection:
                await connection.run_sync(_documents.metadata.create_all)
                if not await connection.scalar(select(func.count()).select_from(_documents)):
                    seed = yaml.safe_load(Path(__file__).with_name("seed.yaml").read_text())
                    await connection.execute(insert(_documents), seed)
            yield
        finally:
            await asyncio.gather(*self.under_way, return_exceptions=True)
            await self._engine.dispose()

    @finished
    async def search(self, query: str) -> list[Document]:
        """Documents with a word of the query in their title, in the order of their ids."""
        words = dict.fromkeys(word.strip(".,;:!?").rstrip("s") for word in query.lower().split())
        # A NUL would end SQLite's pattern, and so match everything.
        worth = [word for word in words if SHORTEST_WORD <= len(word) <= LONGEST_WORD and word.isprintable()]
        matches = [_documents.c.title.icontains(word, autoescape=True) for word in worth[:MOST_WORDS]]
        if not matches:
            return []
        async with self._opened().connect() as connection:
            rows = await connection.execute(select(_documents).where(or_(*matches)).order_by(_documents.c.id))
            return [Document.model_validate(row._asdict()) for row in rows]

    @finished
    async def find(self, name: str) -> Document | None:
        """The document of that id, if there is one."""
        async with self._opened().connect() as connection:
            row = (await connection.execute(select(_documents).where(_documents.c.id == name))).first()
            return Document.model_validate(row._asdict()) if row else None

    @finished
    async def add(self, document: Document) -> None:
        """Keep a new document."""
        async with self._writing() as connection:
            await connection.execute(insert(_documents).values(**document.model_dump()))

    @finished
    async def replace(self, before: Document, text: str) -> bool:
        """Give a document a new text, if it still is what it was when that was decided."""
        unchanged = and_(*(_documents.c[name] == value for name, value in before.model_dump().items()))
        async with self._writing() as connection:
            result = await connection.execute(update(_documents).where(unchanged).values(text=text))
            return result.rowcount == 1

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction: all of it, or nothing and a word for the user."""
        try:
            async with self._opened().begin() as connection:
                yield connection
        except OperationalError as error:
            raise ToolError("nothing was written: the documents cannot be written now") from error

    def _opened(self) -> AsyncEngine:
        assert self._engine  # noqa: S101 - open while the app runs
        return self._engine


def new_id() -> str:
    """An id that nobody can guess and that meets no other."""
    return f"DRAFT-{secrets.token_hex(4)}"
