"""Follows the audit log, and passes on each entry once it is proven to be there.

One reader for all people: it asks for a new checkpoint only while somebody watches, or when a page is opened.  Each
checkpoint is checked against the policy that the registry publishes, with its witnesses, and the entries against its
root (RFC 9162 section 2.1; c2sp.org/tlog-tiles).  So nobody shows the console an entry that is not in the log, or takes
one out of it.  The witnesses do not know who wrote an entry: a compromised ledger can add some in any party's name.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx

from zerotrust.audit.log_client import fetch_policy
from zerotrust.authority.log import tiles
from zerotrust.limits.answers import PLAIN, SECONDS, ask
from zerotrust.service import Service
from zerotrust.tlog.note import MAX_NOTE, parse_note
from zerotrust.tlog.quorum import TrustPolicy, policy
from zerotrust.tlog.tree import InvalidLog

EVERY, AGAIN = 0.2, 2.0
"""Seconds between two looks while somebody watches; and after one that failed."""
PATIENCE = 1.0
"""Seconds for which a page waits for a look: a ledger that is slow makes pages old, and not slow."""
TRUSTED = 60
"""Seconds for which the registry's policy is used.  It changes with the witnesses."""
WINDOW = 16 * tiles.WIDTH
"""Entries that one look takes in: of a longer gap, such as before the first look, only the end is read."""
MOST_BYTES = tiles.WIDTH * (tiles.MAX_ENTRY + 2)
"""Bytes of the largest file of a log: a bundle of entries."""
PROBLEM = "The audit log cannot be read or verified now, so nothing new is shown."

log = logging.getLogger(__name__)


class LogReader:
    """The audit log, as far as it has been read."""

    def __init__(self, service: Service, take: Callable[[int, bytes], None]) -> None:
        """`take` gets each entry with its number, in order; an exception of it loses that entry alone."""
        self._service, self._take = service, take
        # Each read has a bound of its own, because bundles are larger than what parties answer to each other.
        self._http = httpx.AsyncClient(headers=PLAIN, timeout=SECONDS, transport=service.egress.to_authorities)
        self._edge = tiles.Edge()
        self._trust: tuple[float, TrustPolicy] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._watched, self._viewers, self._next = asyncio.Event(), 0, 0.0
        """`_next`: before this time of the loop, nothing is read again."""
        self.cosigned = 0
        """When the last of the witnesses signed the newest checkpoint that is taken in, in seconds since the epoch."""
        self.problem = ""
        """Why nothing new is shown, for people; empty while the log can be read."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the log during the block, while somebody watches."""
        following = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            following.cancel()
            if self._reading:
                self._reading.cancel()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Have the log followed during the block."""
        self._viewers += 1
        self._watched.set()
        try:
            yield
        finally:
            self._viewers -= 1
            if not self._viewers:
                self._watched.clear()

    async def _follow(self) -> None:
        while True:
            await self._watched.wait()
            await self.catch_up()
            await asyncio.sleep(EVERY)

    async def catch_up(self) -> None:
        """Wait, for `PATIENCE` at most, until what has been published by now is taken in; all wait for one look.

        If that fails or is not done by then, `problem` says so.
        """
        if self._reading is None and asyncio.get_running_loop().time() >= self._next:
            self._reading = asyncio.create_task(self._look())
        if self._reading and not (await asyncio.wait([self._reading], timeout=PATIENCE))[0]:
            self.problem = PROBLEM

    async def _look(self) -> None:
        problem, pause = "", EVERY / 2
        try:
            await self._read()
        except Exception as error:  # noqa: BLE001 - whatever the ledger sends, the next look tries again
            problem, pause, self._trust = PROBLEM, AGAIN, None
            if not self.problem:
                log.warning("the audit log cannot be followed: %s", error)
        self.problem, self._next, self._reading = problem, asyncio.get_running_loop().time() + pause, None

    async def _read(self) -> None:
        registry, now, edge = self._service.registry, asyncio.get_running_loop().time(), self._edge
        if not self._trust or now > self._trust[0]:
            address = registry.address(registry.authorities.registry)
            self._trust = now + TRUSTED, policy(await fetch_policy(self._service.egress.authorities, address))
        found, times = self._trust[1].check(parse_note(await self._file("checkpoint", MAX_NOTE)))
        if found.size < edge.size:
            raise InvalidLog(f"a checkpoint of {found.size} entries, and {edge.size} are known")
        if found.size - edge.size > WINDOW:
            edge = await self._begin((found.size - WINDOW) // tiles.WIDTH * tiles.WIDTH, found.size)
        entries = await self._entries(edge.size, found.size)
        after, _ = tiles.append_entries(edge, entries)
        if after.root != found.root:  # control: shown-as-in-the-log
            raise InvalidLog("the entries are not those of the checkpoint")
        self._edge, self.cosigned = after, max(times.values(), default=0)
        for number, entry in enumerate(entries, edge.size):
            try:
                self._take(number, entry)
            except Exception:
                log.exception("entry %d is not shown", number)

    async def _begin(self, size: int, known: int) -> tiles.Edge:
        """Return the edge of the log at `size`, a multiple of `WIDTH`, by the tiles of a checkpoint of `known` entries.

        No checkpoint may ever have had that size.  Only a later root verifies it.
        """
        files = dict[str, bytes]()
        while True:
            node, levels = tiles.node_reader(files.__getitem__, known), list[tuple[bytes, ...]]()
            try:
                while hashes := size >> tiles.HEIGHT * len(levels):
                    last = range(hashes - hashes % tiles.WIDTH, hashes)
                    levels.append(tuple(node(tiles.HEIGHT * len(levels), number) for number in last))
                return tiles.Edge(size, (), tuple(levels))
            except KeyError as missing:
                files[missing.args[0]] = await self._file(missing.args[0], MOST_BYTES)

    async def _entries(self, begin: int, end: int) -> list[bytes]:
        entries, width = list[bytes](), tiles.WIDTH
        for bundle in range(begin // width, -(-end // width)):
            count = min(width, end - bundle * width)
            path = tiles.tile_path("entries", bundle, count)
            entries += tiles.decode_bundle(await self._file(path, MOST_BYTES), count)
        return entries[begin % width :]

    async def _file(self, path: str, most: int) -> bytes:
        registry = self._service.registry
        url = f"{registry.address(registry.authorities.audit)}/log/{path}"
        status, content = await ask(self._http, "GET", url, most=most)
        if status != 200:
            raise InvalidLog(f"{path}: status {status}")
        return content
