"""The audit authority in process, with the registry as its witness, and parties that deliver to it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from authorities.audit.app import create_app
from testkit.wire import Wire
from tests.support.ca import workload
from tests.support.issuer import Issuer
from tests.support.registry_authority import NAME, authority_in
from tests.support.system import System, lifespan
from tests.support.tlog import widths
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_types import Counts, Unverified
from zerotrust.audit.record import GENESIS, Link, hash_of
from zerotrust.authority.ledger.leaf import Record, leaf_of
from zerotrust.authority.log.tiles import decode_bundle, tile_path
from zerotrust.spiffe.svid import Peer

AUDIT, READER, WRITER = "authority/audit", "agent/reader", "agent/writer"


def identity(party: str) -> str:
    return f"spiffe://agents.example/{party}"


def written(party: str, count: int, after: Link = GENESIS, origin: str = "10.0.0.1") -> list[bytes]:
    """The next lines of a party's journal."""
    found = list[bytes]()
    for _ in range(count):
        data = Counts(unverified=(Unverified(origin=origin, reason="public", times=1),))
        event = AuditEvent(schema=1, time=1, service=identity(party), data=data).canonical()
        line = b'{"event":%b,"n":%d,"prev":"%b"}' % (event, after.records + 1, after.head.encode())
        after = Link(after.records + 1, hash_of(line))
        found.append(line)
    return found


def body(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def leaves_of(log: Path) -> list[bytes]:
    """All leaves of a published log, as they lie on the disk."""
    if not (log / "checkpoint").exists():
        return []
    size = int((log / "checkpoint").read_text().splitlines()[1])
    found = list[bytes]()
    for index, width in widths(size, 0):
        whole, part = log / tile_path("entries", index), log / tile_path("entries", index, width)
        found += decode_bundle((part if part.exists() else whole).read_bytes(), width)
    return found


class Audited:
    """The audit authority, alive, and who comes to its doors."""

    def __init__(self, system: System) -> None:
        self.system, self.address = system, system.registry.address(AUDIT)

    def client(self, peer: Peer) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=Wire(self.system.apps, peer), base_url=self.address)

    async def ask(self, party: str | Peer, method: str, path: str, content: bytes | None = None) -> httpx.Response:
        """One request of a party; one that nothing is published for yet is asked again."""
        peer = workload(party) if isinstance(party, str) else party
        async with self.client(peer) as http:
            return await http.request(method, path, content=content)

    async def send(self, party: str, lines: list[bytes]) -> httpx.Response:
        return await self.ask(party, "POST", "/journal", body(lines))

    async def ready(self) -> None:
        """Wait until it has finished what an earlier run began."""
        await until(lambda: self.ask(READER, "GET", "/journal"))

    def published(self, party: str | None = None) -> list[bytes]:
        """The lines that are in the published log, of one party or of all, as they lie on the disk."""
        found = leaves_of(self.system.folder / AUDIT.replace("/", "-") / "log")
        lines = [leaf for leaf in found if isinstance(leaf_of(leaf), Record)]
        service = f'"service":"{identity(party)}"'.encode() if party else b""
        return [line for line in lines if service in line]


async def until(asked: Callable[[], object]) -> None:
    """Wait until an answer is 200, or something is true."""
    async with asyncio.timeout(30):
        while True:
            found = asked()
            answer = await found if asyncio.iscoroutine(found) else found
            if answer.status_code == 200 if isinstance(answer, httpx.Response) else answer:
                return
            await asyncio.sleep(0.01)


@asynccontextmanager
async def audited(folder: Path, issuer: Issuer, clock: Callable[[], float] = time.time) -> AsyncIterator[Audited]:
    """The audit authority and the registry, alive."""
    async with authority_in(folder, issuer) as authority:
        authority.system.apps[authority.system.registry.address(NAME)] = authority.app
        async with ledger_of(authority.system, clock) as ledger:
            yield ledger


@asynccontextmanager
async def ledger_of(system: System, clock: Callable[[], float] = time.time) -> AsyncIterator[Audited]:
    """The audit authority of a system, alive."""
    ledger = Audited(system)
    service = system.service(AUDIT)
    service.clock = clock
    system.apps[ledger.address] = app = create_app(service)
    async with lifespan(app):
        await ledger.ready()
        yield ledger
    del system.apps[ledger.address]
