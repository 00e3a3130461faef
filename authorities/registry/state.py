"""The revocations, each change numbered, and the number of each document; on the disk before they are sent."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from zerotrust.decision import Denied, Reason
from zerotrust.revocation_list import MOST_FORGOTTEN, Kind, Revocable, RevocationList
from zerotrust.shielded import Shielding, shielded

SILENT = "silent: "
"""The prefix of the cause for which a party is refused while nothing is heard of its node.  That ends by itself, so the
realm needs no notice."""

_tables = sa.MetaData()
_changes = sa.Table(
    "changes",
    _tables,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("cause", sa.String),  # none: reinstated
)
sa.Index("changes_by_subject", _changes.c.kind, _changes.c.name)
_pending = sa.Table(
    "pending",
    _tables,
    sa.Column("kind", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
)
_documents = sa.Table(
    "documents",
    _tables,
    sa.Column("topic", sa.String, primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("digest", sa.String, nullable=False),
)
_nodes = sa.Table(
    "nodes",
    _tables,
    sa.Column("node", sa.String, primary_key=True),
    sa.Column("party", sa.String, primary_key=True),
)
_realm = sa.Table("realm", _tables, sa.Column("id", sa.String, primary_key=True))


@dataclass(frozen=True, slots=True)
class Entry:
    """The revocation of a subject, or without a cause its reinstatement."""

    subject: Revocable
    cause: str | None
    pending: bool = False
    """Whether the realm has to be notified as well."""


class State(Shielding):
    """The last change of each subject, and the resulting revocations."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._engine: AsyncEngine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        sa.event.listen(self._engine.sync_engine, "connect", _sync_once)
        self.number = 0
        self._all, self._operators = RevocationList(), asyncio.Lock()
        self.pending: set[Revocable] = set()
        """The subjects of whose revocation the realm has still to be notified."""
        self.nodes: dict[str, frozenset[str]] = {}
        """The parties that run at each node, by the last report of its verifier; no node without any."""

    @asynccontextmanager
    async def turn_of(self, operator: str) -> AsyncIterator[None]:
        """Run the block while no other operator revokes or suspends; `operator` is a user's id, or a SPIFFE ID.

        Of two operators who end each other at the same moment, one must stay: raises `Denied` for one who was revoked
        while waiting.
        """
        async with self._operators:
            # control: revoked-operator-revokes-nobody
            if {("user", operator), ("party", operator)} & self.revoked.keys():
                raise Denied(Reason.REVOKED, operator)
            yield

    @property
    def revoked(self) -> dict[Revocable, str]:
        return self._all.causes

    @property
    def since(self) -> dict[Revocable, float]:
        """The time of each revocation, in seconds since the epoch."""
        return self._all.since

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Open the database for a block, and read the revocations in it."""
        try:
            await self._read()
            yield
        finally:
            await self.wait_until_done()
            await self._engine.dispose()

    @shielded
    async def _read(self) -> None:
        async with self._engine.begin() as connection:
            await connection.run_sync(_tables.create_all)
            for number, at, kind, name, cause in await connection.execute(sa.select(_changes).order_by("number")):
                self._apply(number, at, (kind, name), cause)
            self.pending = {(kind, name) for kind, name in await connection.execute(sa.select(_pending))}
            for node, party in await connection.execute(sa.select(_nodes)):
                self.nodes[node] = self.nodes.get(node, frozenset()) | {party}

    def covers(self, subject: Revocable) -> bool:
        """Return whether a later time is revoked for the same tokens."""
        return self._all.covers(subject)

    @shielded
    async def change(self, entries: Sequence[Entry]) -> int:
        """Make these changes, all or none.  Return the number of the first one when they are on the disk.

        Expired entries are removed at the same time: at least as many as are added.
        """
        first, at = self.number + 1, time.time()
        numbered = {entry.subject: (number, entry) for number, entry in enumerate(entries, first)}  # the last of each
        passed = self._all.expired_entries(at, MOST_FORGOTTEN + len(entries))  # control: expired-revocations-dropped
        replaced = [known for entry in entries if (known := self._all.replaced_by(entry.subject))]
        rows = [
            {"number": number, "at": at, "kind": subject[0], "name": subject[1], "cause": entry.cause}
            for subject, (number, entry) in numbered.items()
        ]
        reinstated = [subject for subject, (_, entry) in numbered.items() if entry.cause is None]
        pending = {entry.subject for entry in entries if entry.pending} - set(reinstated)
        async with self._engine.begin() as connection:
            await connection.execute(_delete(_changes), _parameters([*passed, *replaced, *numbered]))
            await connection.execute(sa.insert(_changes), rows)
            if reinstated:
                await connection.execute(_delete(_pending), _parameters(reinstated))
            if pending:
                named = [{"kind": kind, "name": name} for kind, name in pending]
                await connection.execute(sa.insert(_pending).prefix_with("OR IGNORE"), named)
        for number, entry in enumerate(entries, first):
            self._apply(number, at, entry.subject, entry.cause)
        self.pending.difference_update(reinstated)
        self.pending.update(pending)
        for subject in passed:
            if subject not in numbered:
                self._all.remove(subject)
        return first

    @shielded
    async def note_parties(self, node: str, parties: Iterable[str]) -> None:
        """Note which parties run at a node; return when that is on the disk."""
        if (names := frozenset(parties)) == self.nodes.get(node, frozenset()):
            return
        async with self._engine.begin() as connection:
            await connection.execute(sa.delete(_nodes).where(_nodes.c.node == node))
            if names:
                await connection.execute(sa.insert(_nodes), [{"node": node, "party": name} for name in names])
        self.nodes = {known: its for known, its in self.nodes.items() if known != node} | (
            {node: names} if names else {}
        )

    @shielded
    async def assign_numbers(self, digests: Mapping[str, str]) -> dict[str, int]:
        """Return the number of each document, by topic: the next number if its digest is not that of last time.

        Returns when the numbers are on the disk, so that no number is ever used twice.
        """
        async with self._engine.begin() as connection:
            kept = {
                topic: (number, digest) for topic, number, digest in await connection.execute(sa.select(_documents))
            }
            numbers = {}
            for topic, digest in digests.items():
                number, last = kept.get(topic, (0, ""))
                numbers[topic] = number + (digest != last)
            await connection.execute(sa.delete(_documents).where(_documents.c.topic.in_([*digests])))
            rows = [{"topic": topic, "number": numbers[topic], "digest": digest} for topic, digest in digests.items()]
            await connection.execute(sa.insert(_documents), rows)
        return numbers

    @shielded
    async def pending_for_new_realm(self, realm: str, *, but: str) -> set[Revocable]:
        """Note the realm's id.  If it is new, return the subjects that it has to be notified of, when on the disk.

        These are all revoked users and parties, except the party `but`: a realm that was imported again has none.
        """
        async with self._engine.begin() as connection:
            if (await connection.execute(sa.select(_realm.c.id))).scalar() == realm:
                return set()
            # control: restart-repeats-suspensions
            suspended = [one for one, cause in self.revoked.items() if not cause.startswith(SILENT)]
            pending = {one for one in suspended if one[0] in ("user", "party") and one[1] != but}
            await connection.execute(sa.delete(_realm))
            await connection.execute(sa.insert(_realm).values(id=realm))
            for kind, name in pending:
                await connection.execute(sa.insert(_pending).prefix_with("OR IGNORE").values(kind=kind, name=name))
        self.pending |= pending
        return pending

    @shielded
    async def note_notified(self, kind: Kind, name: str) -> None:
        self.pending.discard((kind, name))
        async with self._engine.begin() as connection:
            await connection.execute(_delete(_pending), _parameters([(kind, name)]))

    def _apply(self, number: int, at: float, subject: Revocable, cause: str | None) -> None:
        self.number = number
        if cause is None:
            self._all.remove(subject)
        else:
            self._all.add(subject, cause, at)


def _delete(table: sa.Table) -> sa.Delete:
    return sa.delete(table).where(table.c.kind == sa.bindparam("of_kind"), table.c.name == sa.bindparam("of_name"))


def _parameters(subjects: Iterable[Revocable]) -> list[dict[str, Any]]:
    return [{"of_kind": kind, "of_name": name} for kind, name in subjects]


def _sync_once(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    """Make a change durable with one sync instead of three, because it is sent only after that."""
    cursor = connection.cursor()
    for setting in ("journal_mode=WAL", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()
