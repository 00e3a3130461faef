"""Finds leaves of the log by their place in a journal, or by a receipt.

The index is not trusted: each leaf that it finds is read from the log again.  It is made from the log's files, and made
again if it is missing, damaged or contradicts the log.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import ConnectionPoolEntry

from authorities.audit.log import Log
from authorities.audit.terms import Term, record_term, terms_of
from zerotrust.authority.log.proofs import inclusion_proof
from zerotrust.authority.log.tiles import WIDTH, decode_bundle, node_reader, tile_path
from zerotrust.shielded import Shielding, shielded
from zerotrust.tlog.checkpoint import checkpoint_of
from zerotrust.tlog.note import Note
from zerotrust.tlog.proof import Proof
from zerotrust.tlog.tree import InvalidLog

T = TypeVar("T")

MOST_FOUND = 1_000
"""Leaves that one search finds, the latest first; each of them is read again."""

BUNDLES = 4
"""Bundles of 256 entries that are remembered, because neighbours are often found together: about a quarter MB each."""

_UNUSABLE = (DatabaseError, InvalidLog, OSError)

log = logging.getLogger(__name__)

_tables = sa.MetaData()
_leaves = sa.Table(
    "leaves",
    _tables,
    sa.Column("kind", sa.String, primary_key=True),
    sa.Column("value", sa.String, primary_key=True),
    sa.Column("leaf", sa.Integer, primary_key=True),
    sqlite_with_rowid=False,
)
_state = sa.Table("state", _tables, sa.Column("size", sa.Integer, nullable=False))


class Index(Shielding):
    """An index over the published leaves of a log."""

    def __init__(self, path: Path, log: Log) -> None:
        super().__init__()
        self._path, self._log = path, log
        self._engine: sa.Engine | None = None
        self._turn = asyncio.Lock()
        self._bundle = lru_cache(BUNDLES)(
            lambda index, width: decode_bundle(log.read(tile_path("entries", index, width)), width)
        )

    @shielded
    async def follow(self) -> None:
        """Take in what has been published since the last time.

        An index that cannot be used is made again.  If that fails, too, the log says so, and the next call tries again.
        """
        for purpose in "used", "made again":
            try:
                while not await self._in_turn(self._take_bundle, self._log.size):
                    pass
                return
            except _UNUSABLE as error:
                log.warning("the index of the log cannot be %s: %s", purpose, error)
                await self._in_turn(self._discard)

    @shielded
    async def find(self, term: Term) -> list[int]:
        """Return the numbers of the published leaves with this term, the latest first; at most `MOST_FOUND`.

        Raises `OSError` and `InvalidLog` if they cannot be read.
        """
        try:
            return await self._in_turn(self._query, term, self._log.size)
        except (DatabaseError, InvalidLog):
            await self._in_turn(self._discard)
            await self.follow()
            return await self._in_turn(self._query, term, self._log.size)

    async def record(self, service: str, number: int) -> bytes | None:
        """Return the line of a journal with this number, as the log has it, or None if it is not published."""
        found = await self.find(record_term(service, number))
        return await self.entry(found[0]) if found else None

    async def entry(self, leaf: int) -> bytes:
        """Return a published leaf.  Raises `OSError` and `InvalidLog`."""
        return await asyncio.to_thread(self._entry, leaf, self._log.size)

    async def proof(self, leaf: int, by: Note | None = None) -> tuple[bytes, Proof]:
        """Return a published leaf, and the proof that it is in the checkpoint `by`; by default in the newest one.

        Raises `InvalidLog` if it is not there, and `OSError`.
        """
        return await asyncio.to_thread(self._proof, leaf, by or self._log.note)

    async def close(self) -> None:
        await self.wait_until_done()
        self._dispose()

    def _proof(self, leaf: int, note: Note | None) -> tuple[bytes, Proof]:
        size = checkpoint_of(note).size if note else 0
        if not note or not 0 <= leaf < size:
            raise InvalidLog(f"leaf {leaf} is not published")
        hashes = inclusion_proof(leaf, size, node_reader(self._log.read, size))
        return self._entry(leaf, size), Proof(leaf, tuple(hashes), note)

    def _entry(self, leaf: int, size: int) -> bytes:
        bundle = leaf // WIDTH
        return self._bundle(bundle, min(WIDTH, size - bundle * WIDTH))[leaf % WIDTH]

    def _take_bundle(self, size: int) -> bool:
        """Take in one bundle of the missing leaves, and return whether all are there."""
        with self._open().begin() as connection:
            done = _size(connection)
            if done > size:
                raise InvalidLog(f"it has {done} leaves, and the log {size}")
            if done < size:
                first = done - done % WIDTH
                _add_leaves(connection, first, self._bundle(first // WIDTH, min(WIDTH, size - first)), done)
                done = min(first + WIDTH, size)
            return done == size

    async def _in_turn(self, work: Callable[..., T], *args: object) -> T:
        async with self._turn:
            return await asyncio.to_thread(work, *args)

    def _query(self, term: Term, size: int) -> list[int]:
        query = sa.select(_leaves.c.leaf).where(_leaves.c.kind == term.kind, _leaves.c.value == term.value)
        with self._open().begin() as connection:
            found = list(connection.scalars(query.order_by(_leaves.c.leaf.desc()).limit(MOST_FOUND)))
        for leaf in found:
            # control: index-not-believed
            if not 0 <= leaf < size or term not in terms_of(self._entry(leaf, size)):
                raise InvalidLog(f"leaf {leaf} is not about {term.kind} {term.value}")
        return found

    def _open(self) -> sa.Engine:
        if self._engine is None:
            self._engine = sa.create_engine(f"sqlite:///{self._path}")
            sa.event.listen(self._engine, "connect", _sync_seldom)
            if not sa.inspect(self._engine).has_table(_state.name):  # an index that has lost another table is damaged
                _tables.create_all(self._engine)
        return self._engine

    def _discard(self) -> None:
        """Remove the index, so that it is made again."""
        self._dispose()
        for ending in ("", "-wal", "-shm"):
            with suppress(OSError):
                self._path.with_name(self._path.name + ending).unlink()

    def _dispose(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
        self._engine = None


def _size(connection: sa.Connection) -> int:
    return int(connection.scalar(sa.select(sa.func.max(_state.c.size))) or 0)


def _add_leaves(connection: sa.Connection, first: int, entries: list[bytes], done: int) -> None:
    """Add the leaves from `done` on, of which `first` is the number of the first entry."""
    rows = [
        {"kind": term.kind, "value": term.value, "leaf": leaf}
        for leaf, entry in enumerate(entries, first)
        if leaf >= done
        for term in terms_of(entry)
    ]
    if rows:
        connection.execute(sa.insert(_leaves).prefix_with("OR IGNORE"), rows)
    connection.execute(sa.delete(_state))
    connection.execute(sa.insert(_state).values(size=first + len(entries)))


def _sync_seldom(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    """Sync seldom: an index is made again if its end is lost, and it stays consistent."""
    cursor = connection.cursor()
    for setting in ("journal_mode=WAL", "synchronous=NORMAL"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()
