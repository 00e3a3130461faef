"""Stores the documents in SQLite, within quotas.  The caller has decided who may see or change what."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import sqlalchemy as sa
import yaml
from mcp.server.mcpserver.exceptions import ToolError
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from tools.documents.document import INTERNAL, Document, Entry
from zerotrust.shielded import Shielding, shielded

SHORTEST_WORD, LONGEST_WORD, MOST_WORDS = 5, 50, 50
"""Letters of a word that is searched for, and the number of such words in one query."""
MOST_FOUND = 20
"""Documents in one search result: more than an agent reads in one task."""
MOST_DRAFTS, MOST_BYTES = 100, 2 << 20
"""Drafts of one owner in one department, and bytes of their texts as UTF-8.  Beyond that, the owner has to delete one.

Counted for each department, because a task can delete drafts of its own department only.
"""
MOST_NAMED = 5
"""Ids of drafts in the error for a user who has too many.

The latest: if an agent has filled the quota, they are its own drafts, so it learns no id of an older draft.  Only
ids, because a caller who may only write must not read titles.
"""

_documents = sa.Table(
    "documents",
    sa.MetaData(),
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("title", sa.String, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("department", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("classification", sa.String, nullable=False, server_default=INTERNAL),
    # Covers a search, so that it reads no rows, each of which has the whole text.
    sa.Index("by_department", "department", "state", "id", "title", "owner", "classification"),
    sa.Index("by_owner", "owner", "state"),
)
_entry = [_documents.c[name] for name in Entry.model_fields]
_by_id = sa.select(_documents).where(_documents.c.id == sa.bindparam("name"))


class Store(Shielding):
    """All documents of all departments."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        # SQLite has one writer at a time, and lets the others wait for 5 s in no order.
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Open the database; fill a new one with the documents of `seed.yaml`."""
        try:
            await self._fill()
            yield
        finally:
            await self.wait_until_done()
            await self._engine.dispose()

    @shielded
    async def _fill(self) -> None:
        async with self._engine.begin() as connection:
            await connection.run_sync(_documents.metadata.create_all)
            if not await connection.scalar(sa.select(sa.func.count()).select_from(_documents)):
                seed = yaml.safe_load(Path(__file__).with_name("seed.yaml").read_text())
                # Each with its class: SQLAlchemy takes the columns of the first for all.
                await connection.execute(sa.insert(_documents), [{"classification": INTERNAL, **each} for each in seed])

    @shielded
    async def search(self, query: str, department: str, user: str) -> list[Entry]:
        """Return documents of a department whose title has a word of the query, at most `MOST_FOUND`.

        Published documents come first, then the drafts of `user`, both by id.  Then the drafts of the other owners: one
        of each, then a second one of each, and so on, so that no owner's drafts hide another's.
        """
        words = dict.fromkeys(word.strip(".,;:!?").rstrip("s") for word in query.lower().split())
        # A NUL would end SQLite's pattern, which would then match everything.
        # control: search-word-printable
        worth = [word for word in words if SHORTEST_WORD <= len(word) <= LONGEST_WORD and word.isprintable()]
        # control: search-word-escaped
        matches = [_documents.c.title.icontains(word, autoescape=True) for word in worth[:MOST_WORDS]]
        if not matches:
            return []
        # control: search-own-department
        found = sa.select(*_entry).where(_documents.c.department == department, sa.or_(*matches))
        # control: search-owners-by-turns
        nth = sa.func.row_number().over(partition_by=(_documents.c.state, _documents.c.owner), order_by=_documents.c.id)
        # control: search-own-drafts
        turn = sa.case((sa.or_(_documents.c.state == "published", _documents.c.owner == user), 0), else_=nth)
        order = (_documents.c.state != "published", turn, _documents.c.id)  # control: search-published-first
        async with self._engine.connect() as connection:
            rows = await connection.execute(found.order_by(*order).limit(MOST_FOUND))  # control: search-results-bounded
            return [Entry.model_validate(row, from_attributes=True) for row in rows]

    @shielded
    async def find(self, name: str) -> Document | None:
        async with self._engine.connect() as connection:
            # control: document-id-is-data
            row = (await connection.execute(_by_id, {"name": name})).first()
            return Document.model_validate(row, from_attributes=True) if row else None

    @shielded
    async def add(self, document: Document) -> None:
        """Store a new document.  Raises `ToolError` if its owner has too many drafts, or they are too long."""
        async with self._writing() as connection:
            await _check_room(connection, document)
            await connection.execute(sa.insert(_documents).values(**document.model_dump()))

    @shielded
    async def replace(self, before: Document, text: str) -> bool:
        """Replace a document's text, if the document has not changed since the decision; return whether it was done.

        Raises as `add`.
        """
        async with self._writing() as connection:
            await _check_room(connection, before.model_copy(update={"text": text}))
            result = await connection.execute(sa.update(_documents).where(_is_unchanged(before)).values(text=text))
            return result.rowcount == 1

    @shielded
    async def remove(self, before: Document) -> bool:
        """Delete a document, if it has not changed since the decision; return whether it was done."""
        async with self._writing() as connection:
            result = await connection.execute(sa.delete(_documents).where(_is_unchanged(before)))
            return result.rowcount == 1

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        """Run a write transaction, in which counts stay valid.  Raises `ToolError` if it cannot be written."""
        try:
            async with self._turn, self._engine.begin() as connection:
                await connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
        except OperationalError as error:
            raise ToolError("nothing was written: the documents cannot be written now") from error


def _is_unchanged(before: Document) -> sa.ColumnElement[bool]:
    # control: document-unchanged-since-decision
    return sa.and_(*(_documents.c[name] == value for name, value in before.model_dump().items()))


async def _check_room(connection: AsyncConnection, document: Document) -> None:
    """Raise `ToolError` if the owner would have too many drafts with this, or drafts that are too long together.

    The error names the owner's latest drafts, so that the owner can delete one.
    """
    if document.state != "draft":
        return
    column = _documents.c
    same = (column.owner == document.owner, column.state == "draft", column.department == document.department)
    others = (*same, column.id != document.id)
    long = sa.func.coalesce(sa.func.sum(sa.func.length(sa.cast(column.text, sa.LargeBinary))), 0)
    drafts, together = (await connection.execute(sa.select(sa.func.count(), long).where(*others))).one()
    if drafts >= MOST_DRAFTS or together + len(document.text.encode()) > MOST_BYTES:  # control: drafts-bounded
        # SQLite numbers the rows as they are inserted.
        latest = sa.select(column.id).where(*others).order_by(sa.literal_column("rowid").desc()).limit(MOST_NAMED)
        names = ", ".join(await connection.scalars(latest))  # control: full-store-names-drafts
        raise ToolError(
            f"no room: a user has at most {MOST_DRAFTS} drafts and {MOST_BYTES} bytes of them in a department; "
            f"delete one, the latest are {names}"
        )
