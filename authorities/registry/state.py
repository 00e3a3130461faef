"""What is withdrawn, numbered change by change, on the disk before anybody hears of it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import Column, ColumnElement, Float, Integer, MetaData, String, Table, delete, event, insert, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from zerotrust.standing import KEPT, PASSING, Kind, Subject

_tables = MetaData()
_changes = Table(
    "changes",
    _tables,
    Column("number", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    Column("cause", String),  # none: reinstated
)
_untold = Table(
    "untold",
    _tables,
    Column("kind", String, primary_key=True),
    Column("name", String, primary_key=True),
)


class State:
    """The last change of each subject, and what they come to."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._engine: AsyncEngine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        event.listen(self._engine.sync_engine, "connect", _sync_once)
        self.number = 0
        self.withdrawn: dict[Subject, str] = {}
        self.since: dict[Subject, float] = {}
        self.untold: set[Subject] = set()
        """Whose withdrawal the realm has not heard of yet, and has to."""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Read what was withdrawn before a restart, and stay open."""
        async with self._engine.begin() as connection:
            await connection.run_sync(_tables.create_all)
            for number, at, kind, name, cause in await connection.execute(select(_changes).order_by("number")):
                self._apply(number, at, (kind, name), cause)
            self.untold = {(kind, name) for kind, name in await connection.execute(select(_untold))}
        try:
            yield
        finally:
            await self._engine.dispose()

    async def change(self, kind: Kind, name: str, cause: str | None, *, untold: bool = False) -> int:
        """Withdraw, or with no cause reinstate; return the number of the change, once it is on the disk.

        `untold`: the realm has to hear of it.
        """
        number, at = self.number + 1, time.time()
        passed = (_changes.c.kind.in_(PASSING)) & (_changes.c.at < at - KEPT)
        async with self._engine.begin() as connection:
            await connection.execute(delete(_changes).where(passed | _of(_changes, kind, name)))
            await connection.execute(insert(_changes).values(number=number, at=at, kind=kind, name=name, cause=cause))
            if untold:
                await connection.execute(insert(_untold).prefix_with("OR IGNORE").values(kind=kind, name=name))
            elif cause is None:
                await connection.execute(delete(_untold).where(_of(_untold, kind, name)))
        self._apply(number, at, (kind, name), cause)
        if untold:
            self.untold.add((kind, name))
        elif cause is None:
            self.untold.discard((kind, name))
        for subject in [known for known, since in self.since.items() if known[0] in PASSING and since < at - KEPT]:
            del self.withdrawn[subject], self.since[subject]
        return number

    async def told(self, kind: Kind, name: str) -> None:
        """Note that the realm has heard of a withdrawal."""
        self.untold.discard((kind, name))
        async with self._engine.begin() as connection:
            await connection.execute(delete(_untold).where(_of(_untold, kind, name)))

    def _apply(self, number: int, at: float, subject: Subject, cause: str | None) -> None:
        self.number = number
        if cause is None:
            self.withdrawn.pop(subject, None)
            self.since.pop(subject, None)
        else:
            self.withdrawn[subject], self.since[subject] = cause, at


def _of(table: Table, kind: Kind, name: str) -> ColumnElement[bool]:
    return (table.c.kind == kind) & (table.c.name == name)


def _sync_once(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    """Have a change on the disk after one sync, and not after three: until then nobody hears of it."""
    cursor = connection.cursor()
    for setting in ("journal_mode=WAL", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()
