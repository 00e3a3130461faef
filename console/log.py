"""Follows the audit log, and passes on each entry once it is proven to be there.

One reader for all people: it asks for a new checkpoint only while somebody watches, or when a page is opened.  Whoever
deceives the console has to deceive the log's witnesses, too: each checkpoint is checked against the policy that the
registry publishes, and the entries against its root (RFC 9162 section 2.1; c2sp.org/tlog-tiles).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx

from zerotrust.audit.log_client import NotDelivered, fetch_policy
from zerotrust.authority.log.tiles import MAX_ENTRY, WIDTH, Edge, append_entries, decode_bundle, restore_edge, tile_path
from zerotrust.limits.answers import ask
from zerotrust.service import Service
from zerotrust.tlog.checkpoint import Checkpoint
from zerotrust.tlog.note import MAX_NOTE, parse_note
from zerotrust.tlog.quorum import TrustPolicy, policy
from zerotrust.tlog.tree import InvalidLog

EVERY = 0.2
"""Seconds between two looks while somebody watches."""
WINDOW = 16 * WIDTH
"""Entries before the newest one that the first look takes in."""
MOST_BYTES = WIDTH * (MAX_ENTRY + 2)
"""Bytes of the largest file of a log: a bundle of entries."""

log = logging.getLogger(__name__)


class LogReader:
    """The audit log, as far as it has been read."""

    def __init__(self, service: Service, take: Callable[[int, bytes], None]) -> None:
        """`take` gets each entry with its number, in order."""
        self._service, self._take = service, take
        self._edge: Edge | None = None
        self._trust: TrustPolicy | None = None
        self._turn, self._watched, self._viewers = asyncio.Lock(), asyncio.Event(), 0
        self._next = 0.0
        """Before this time of the loop, nothing is read again."""
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
        """Take in what has been published by now, unless somebody has just done so.

        If that fails, `problem` says so, and the next call tries again.
        """
        loop = asyncio.get_running_loop()
        async with self._turn:
            if loop.time() < self._next:
                return
            try:
                await self._read()
                self.problem, self._next = "", loop.time() + EVERY / 2
            except (httpx.HTTPError, NotDelivered, OSError, ValueError) as error:  # `InvalidLog` is a `ValueError`
                if not self.problem:
                    log.warning("the audit log cannot be followed: %s", error)
                self.problem = "The audit log cannot be read or verified now, so nothing new is shown."

    async def _read(self) -> None:
        if not (found := await self._checkpoint()):
            return
        edge = self._edge or await self._begin(max(0, found.size - WINDOW) // WIDTH * WIDTH)
        if found.size < edge.size:
            raise InvalidLog(f"a checkpoint of {found.size} entries, and {edge.size} are known")
        entries = await self._entries(edge.size, found.size)
        after, _ = append_entries(edge, entries)
        if after.root != found.root:  # control: shown-as-in-the-log
            raise InvalidLog("the entries are not those of the checkpoint")
        self._edge = after
        for number, entry in enumerate(entries, edge.size):
            self._take(number, entry)

    async def _checkpoint(self) -> Checkpoint | None:
        """Return the newest checkpoint, or None before the first one."""
        registry = self._service.registry
        if not self._trust:
            address = registry.address(registry.authorities.registry)
            self._trust = policy(await fetch_policy(self._service.egress.authorities, address))
        status, note = await self._get("checkpoint", MAX_NOTE)
        if status == 404 and not self._edge:
            return None
        checkpoint, _ = self._trust.check(parse_note(note))
        return checkpoint

    async def _begin(self, size: int) -> Edge:
        """Return the edge of the log at this size, a multiple of `WIDTH`.  Only a later root verifies it."""
        files = dict[str, bytes]()
        while True:
            try:
                return restore_edge(files.__getitem__, size)
            except KeyError as missing:
                files[missing.args[0]] = await self._file(missing.args[0])

    async def _entries(self, begin: int, end: int) -> list[bytes]:
        entries = list[bytes]()
        for bundle in range(begin // WIDTH, -(-end // WIDTH)):
            width = min(WIDTH, end - bundle * WIDTH)
            entries += decode_bundle(await self._file(tile_path("entries", bundle, width)), width)
        return entries[begin % WIDTH :]

    async def _file(self, path: str) -> bytes:
        status, content = await self._get(path, MOST_BYTES)
        if status != 200:
            raise InvalidLog(f"{path}: status {status}")
        return content

    async def _get(self, path: str, most: int) -> tuple[int, bytes]:
        registry = self._service.registry
        url = f"{registry.address(registry.authorities.audit)}/log/{path}"
        return await ask(self._service.egress.log, "GET", url, most=most)
