"""Follows the audit log, and passes on each entry once it is proven to be there.

One reader for all people.  It checks each checkpoint against the policy that the registry publishes, with its
witnesses, and each entry against the checkpoint's root (RFC 9162 section 2.1.3; c2sp.org/tlog-tiles).  So an entry
outside the log never reaches the console.  The witnesses do not know who wrote an entry: a compromised ledger can add
some in any party's name.

It omits no entry after its first look, so a party cannot hide others' records behind its own.  It has one bundle in
memory at a time, proves it as a whole, and lets others go on after each entry.  Measured: 20,000 short records a
second, ten times what one party delivers; with entries of 57 KB, others wait up to 50 ms.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextvars import Context
from functools import cache

import httpx

from zerotrust.audit.log_client import fetch_policy
from zerotrust.authority.log import tiles
from zerotrust.authority.log.proofs import Node, inclusion_proof
from zerotrust.limits.answers import PLAIN, SECONDS, ask
from zerotrust.service import Service
from zerotrust.tlog.note import MAX_NOTE, parse_note
from zerotrust.tlog.quorum import NONE, TrustPolicy, policy
from zerotrust.tlog.tree import InvalidLog, check_inclusion

EVERY, AGAIN = 0.2, 2.0
"""Seconds between two looks; and after a failed look."""
TRUSTED = 60
"""Seconds for which the registry's policy is used.  It changes with the witnesses."""
WINDOW = 16 * tiles.WIDTH
"""Entries before the first look that are read: the latest."""
AT_A_TIME = 2.0
"""Seconds after which a look takes in no further bundle: a page waits for a look."""
MOST_BYTES = tiles.WIDTH * (tiles.MAX_ENTRY + 2)
"""Bytes of the largest file of a log: a bundle of entries."""
LONGEST = 10_000
"""Bytes of an entry that is passed on.  A record of a task has some 2 KB; of what people and agents choose, it has at
most four texts of 200 characters, in the longest form 2.2 KB each."""
PROBLEM = "The audit log cannot be read or verified now, so nothing new is shown."
BEHIND = "The console still has {:,} records of the audit log to read. Their content is not shown yet."

log = logging.getLogger(__name__)


class LogReader:
    """The audit log, as far as it has been read."""

    def __init__(self, service: Service, take: Callable[[int, bytes], None]) -> None:
        """`take` gets each entry with its number, in order; an exception of it loses that entry alone."""
        self._service, self._take = service, take
        # Each read has a bound of its own, because bundles are larger than what parties answer to each other.
        self._http = httpx.AsyncClient(headers=PLAIN, timeout=SECONDS, transport=service.egress.to_authorities)
        self._size = self.left_out = 0
        """How many entries of the log have been taken in or left out; and how many were left out by the first look."""
        self.began = 0.0
        """When that was, in seconds since the epoch; 0 before."""
        self._trust: tuple[float, TrustPolicy] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._next = 0.0
        """Before this time of the loop, nothing is read again."""
        self.cosigned = 0
        """Since when (in seconds since the epoch) the newest checkpoint read here has a quorum of witnesses."""
        self.problem = ""
        """Why what is new is not shown, for people; empty while all that is in the log is taken in."""

    def look(self) -> asyncio.Task[None]:
        """Begin to take in what has been published, unless that is under way or was done just now; return the look.

        If it fails, `problem` says so.
        """
        loop = asyncio.get_running_loop()
        if self._looking is None or (self._looking.done() and loop.time() >= self._next):
            self._looking = loop.create_task(self._look(), context=Context())  # it is nobody's request
        return self._looking

    async def catch_up(self) -> None:
        """Wait until this console has read the published log: no longer than for one answer of another party."""
        await asyncio.wait([self.look()])

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                behind = await self._read()
            self.problem, pause = BEHIND.format(behind) if behind else "", EVERY
        except Exception as error:  # noqa: BLE001 - whatever the ledger sends, the next look tries again
            if not self.problem:
                log.warning("the audit log cannot be followed: %r", error)
            self.problem, pause, self._trust = PROBLEM, AGAIN, None
        self._next = asyncio.get_running_loop().time() + pause

    async def _read(self) -> int:
        """Take in what is new, for a time; return how many entries are left."""
        registry, now = self._service.registry, asyncio.get_running_loop().time()
        if not self._trust or now > self._trust[0]:
            address = registry.address(registry.authorities.registry)
            self._trust = now + TRUSTED, policy(await fetch_policy(self._service.egress.authorities, address))
        trust = self._trust[1]
        found, times = trust.check(parse_note(await self._file("checkpoint", MAX_NOTE)))
        if found.size < self._size:
            raise InvalidLog(f"a checkpoint of {found.size} entries, and {self._size} are known")
        files = dict[str, bytes]()
        node = cache(tiles.node_reader(files.__getitem__, found.size))
        if not self.began:  # control: nothing-left-out-later
            self.began = time.time()
            self._size = self.left_out = max(0, found.size - WINDOW)
        bundles, began = -(-found.size // tiles.WIDTH), time.monotonic()
        while self._size < found.size:
            bundle = self._size // tiles.WIDTH
            count = min(tiles.WIDTH, found.size - bundle * tiles.WIDTH)
            raw = await self._file(tiles.tile_path("entries", bundle, count), MOST_BYTES)
            entries, proof = tiles.decode_bundle(raw, count), await self._proof(bundle, found.size, node, files)
            part = tiles.append_entries(tiles.Edge(), entries)[0].root
            check_inclusion(part, bundle, bundles, proof, found.root)  # control: shown-as-in-the-log
            for entry in entries[self._size % tiles.WIDTH :]:
                self._pass_on(entry)
                await asyncio.sleep(0)
            if time.monotonic() >= began + AT_A_TIME:
                break
        # Another witness may say any time: it does not count where the policy names one.
        # control: cosigned-by-a-quorum
        self.cosigned = max((at for name, at in times.items() if trust.quorum in {NONE, name}), default=0)
        return found.size - self._size

    def _pass_on(self, entry: bytes) -> None:
        number, self._size = self._size, self._size + 1
        try:
            if len(entry) <= LONGEST:  # control: long-entries-left-out
                self._take(number, entry)
        except Exception:
            log.exception("entry %d is not shown", number)

    async def _proof(self, bundle: int, size: int, node: Node, files: dict[str, bytes]) -> list[bytes]:
        """Return the proof that a bundle is in the log; `node` reads its tiles from `files`."""
        while True:
            try:
                return inclusion_proof(bundle, size, node, tiles.HEIGHT)
            except KeyError as missing:
                files[missing.args[0]] = await self._file(missing.args[0], MOST_BYTES)

    async def _file(self, path: str, most: int) -> bytes:
        registry = self._service.registry
        url = f"{registry.address(registry.authorities.audit)}/log/{path}"
        status, content = await ask(self._http, "GET", url, most=most)
        if status != 200:
            raise InvalidLog(f"{path}: status {status}")
        return content
