"""What is revoked, numbered change by change, and the number of each document; on the disk before it is sent."""

import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Delete,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    event,
    insert,
    select,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from zerotrust.revocation_list import MOST_FORGOTTEN, Kind, Revocable, RevocationList

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
_by_subject = Index("changes_by_subject", _changes.c.kind, _changes.c.name)
_untold = Table(
    "pending",
    _tables,
    Column("kind", String, primary_key=True),
    Column("name", String, primary_key=True),
)
_documents = Table(
    "documents",
    _tables,
    Column("topic", String, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("digest", String, nullable=False),
)
_realm = Table("realm", _tables, Column("id", String, primary_key=True))


@dataclass(frozen=True, slots=True)
class Entry:
    """A subject is revoked, or with no cause reinstated."""

    subject: Revocable
    cause: str | None
    pending: bool = False
    """Whether the realm has to hear of it, too."""


class State:
    """The last change of each subject, and what they come to."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._engine: AsyncEngine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        event.listen(self._engine.sync_engine, "connect", _sync_once)
        self.number = 0
        self._all = RevocationList()
        self.pending: set[Revocable] = set()
        """Whose revocation the realm has not heard of yet, and has to."""

    @property
    def revoked(self) -> dict[Revocable, str]:
        """Everything that is revoked, with its cause."""
        return self._all.causes

    @property
    def since(self) -> dict[Revocable, float]:
        """Since when each of it is, in seconds since the epoch."""
        return self._all.since

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Read what was revoked before a restart, and stay open."""
        async with self._engine.begin() as connection:
            await connection.run_sync(_tables.create_all)
            await connection.run_sync(_by_subject.create, checkfirst=True)  # a database of before has none
            for number, at, kind, name, cause in await connection.execute(select(_changes).order_by("number")):
                self._apply(number, at, (kind, name), cause)
            self.pending = {(kind, name) for kind, name in await connection.execute(select(_untold))}
        try:
            yield
        finally:
            await self._engine.dispose()

    def covered(self, subject: Revocable) -> bool:
        """Whether a later time than this one is revoked for the same tokens."""
        return self._all.covered(subject)

    async def change(self, entries: Sequence[Entry]) -> int:
        """Make these changes, all or none; return the number of the first once they are on the disk.

        With them, what has passed is forgotten: at least as much as comes.
        """
        first, at = self.number + 1, time.time()
        numbered = {entry.subject: (number, entry) for number, entry in enumerate(entries, first)}  # the last of each
        passed = self._all.passed(at, MOST_FORGOTTEN + len(entries))  # control: expired-revocations-dropped
        replaced = [known for entry in entries if (known := self._all.replaced_by(entry.subject))]
        rows = [
            {"number": number, "at": at, "kind": subject[0], "name": subject[1], "cause": entry.cause}
            for subject, (number, entry) in numbered.items()
        ]
        told = [subject for subject, (_, entry) in numbered.items() if entry.cause is None]
        pending = {entry.subject for entry in entries if entry.pending} - set(told)
        async with self._engine.begin() as connection:
            await connection.execute(_delete(_changes), _named([*passed, *replaced, *numbered]))
            await connection.execute(insert(_changes), rows)
            if told:
                await connection.execute(_delete(_untold), _named(told))
            if pending:
                named = [{"kind": kind, "name": name} for kind, name in pending]
                await connection.execute(insert(_untold).prefix_with("OR IGNORE"), named)
        for number, entry in enumerate(entries, first):
            self._apply(number, at, entry.subject, entry.cause)
        self.pending.difference_update(told)
        self.pending.update(pending)
        for subject in passed:
            if subject not in numbered:
                self._all.remove(subject)
        return first

    async def numbered(self, digests: Mapping[str, str]) -> dict[str, int]:
        """Number the documents of these digests, by topic: the next number where it is another one than last time.

        Once that is on the disk, so that no number is ever that of two.
        """
        async with self._engine.begin() as connection:
            kept = {topic: (number, digest) for topic, number, digest in await connection.execute(select(_documents))}
            numbers = {}
            for topic, digest in digests.items():
                number, last = kept.get(topic, (0, ""))
                numbers[topic] = number + (digest != last)
            await connection.execute(delete(_documents))
            rows = [{"topic": topic, "number": numbers[topic], "digest": digest} for topic, digest in digests.items()]
            await connection.execute(insert(_documents), rows)
        return numbers

    async def told_anew(self, realm: str, *, but: str) -> set[Revocable]:
        """Note which realm is told; return whom another one than last time has to hear of, once that is on the disk.

        These are all users and parties that are revoked, `but` one: a realm that was imported anew knows of none.
        """
        async with self._engine.begin() as connection:
            if (await connection.execute(select(_realm.c.id))).scalar() == realm:
                return set()
            # control: restart-repeats-suspensions
            pending = {one for one in self.revoked if one[0] in ("user", "party") and one[1] != but}
            await connection.execute(delete(_realm))
            await connection.execute(insert(_realm).values(id=realm))
            for kind, name in pending:
                await connection.execute(insert(_untold).prefix_with("OR IGNORE").values(kind=kind, name=name))
        self.pending |= pending
        return pending

    async def told(self, kind: Kind, name: str) -> None:
        """Note that the realm has heard of a revocation."""
        self.pending.discard((kind, name))
        async with self._engine.begin() as connection:
            await connection.execute(_delete(_untold), _named([(kind, name)]))

    def _apply(self, number: int, at: float, subject: Revocable, cause: str | None) -> None:
        self.number = number
        if cause is None:
            self._all.remove(subject)
        else:
            self._all.add(subject, cause, at)


def _delete(table: Table) -> Delete:
    return delete(table).where(table.c.kind == bindparam("of_kind"), table.c.name == bindparam("of_name"))


def _named(subjects: Iterable[Revocable]) -> list[dict[str, Any]]:
    return [{"of_kind": kind, "of_name": name} for kind, name in subjects]


def _sync_once(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    """Have a change on the disk after one sync, and not after three: until then nobody hears of it."""
    cursor = connection.cursor()
    for setting in ("journal_mode=WAL", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()
