"""A ledger's log in a folder, and a registry that keeps what it cosigned outside of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
from fastapi import FastAPI

from authorities.audit.cosigning import Cosigners
from authorities.audit.log import Cosign, Growth, Log, LogError
from authorities.registry.witness import Witness, add_witness_routes
from tests.support.tlog import ORIGIN, mth, widths
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_types import Counts, Unverified
from zerotrust.audit.record import GENESIS, Link, next_link
from zerotrust.authority.ledger.leaf import Heads, Record, leaf_of
from zerotrust.authority.log.tiles import decode_bundle, tile_path
from zerotrust.tlog.note import Signature
from zerotrust.tlog.quorum import policy
from zerotrust.tlog.tree import leaf_hash

ADDRESS = "http://registry.example"
SERVICE = "spiffe://agents.example/tool/documents"


class Registry:
    """The registry's witness behind its doors; it outlives a restart of the ledger."""

    def __init__(self, folder: Path) -> None:
        self.witness = Witness(folder, "agents.example/registry", ORIGIN)
        add_witness_routes(app := FastAPI(), self.witness)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app))
        self.fails: list[str] = []
        """What goes wrong with the next requests: "before" it keeps the checkpoint, or "after" that."""

    def cosigning(self) -> Cosign:
        """A ledger's way to the registry."""
        cosigners = Cosigners(ADDRESS, http=self.http)

        async def cosign(growth: Growth) -> Sequence[Signature]:
            fault = self.fails.pop(0) if self.fails else ""
            if fault == "before":
                raise LogError("the registry does not answer")
            found = await cosigners(growth)
            if fault == "after":
                raise LogError("the registry's answer is lost")
            return found

        return cosign


class Logs:
    """Opens the logs of a ledger, one at a time in each folder, and closes them at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._open = folder, dict[str, Log]()

    async def open(self, cosign: Cosign, name: str = "ledger", *, finished: bool = True) -> Log:
        """Open the log of that name, and close the one that is open there first, as a restart does.

        `finished`: what was begun is published, so that the log is ready for lines.
        """
        await self.close(name)
        log = self._open[name] = await Log.open(self.folder / name, ORIGIN, cosign)
        if finished:
            await log.finish()
        return log

    async def close(self, *names: str) -> None:
        for name in names or [*self._open]:
            if log := self._open.pop(name, None):
                await log.close()


async def opened(folder: Path, registry: Registry) -> Log:
    """A log that is ready for lines."""
    log = await Log.open(folder, ORIGIN, registry.cosigning())
    try:
        await log.finish()
    except BaseException:
        await log.close()
        raise
    return log


def lines(heads: Mapping[str, Link], count: int, service: str = SERVICE) -> tuple[list[bytes], dict[str, Link]]:
    """The next lines of a journal, and the heads after them."""
    link, made = heads.get(service, GENESIS), list[bytes]()
    for _ in range(count):
        counts = Counts(unverified=(Unverified(origin="127.0.0.1", reason="no_token", times=link.records + 1),))
        event = AuditEvent(schema=1, time=link.records, service=service, data=counts).canonical()
        made.append(b'{"event":%b,"n":%d,"prev":"%b"}' % (event, link.records + 1, link.head.encode()))
        link = next_link(link, made[-1])
    return made, {**heads, service: link}


async def grow(log: Log, count: int = 1, service: str = SERVICE) -> list[bytes]:
    """Add the next lines of a journal."""
    some, heads = lines(log.heads, count, service)
    await log.add(some, heads)
    return some


async def published(log: Log, registry: Registry) -> list[bytes]:
    """All lines in the published checkpoint, which this checks from the files alone: signatures, tree and chains."""
    if not log.note:
        return []
    demanded = await registry.witness.policy()
    assert demanded
    checkpoint, _ = policy(demanded).check(log.note)
    entries = list[bytes]()
    for index, width in widths(checkpoint.size, 0):
        some = decode_bundle(log.read(tile_path("entries", index, width)), width)
        assert log.read(tile_path(0, index, width)) == b"".join(map(leaf_hash, some))
        entries += some
    assert mth(list(map(leaf_hash, entries))) == checkpoint.root
    heads, records = dict[str, Link](), list[bytes]()
    for entry in entries:
        match leaf_of(entry):
            case Record(event=event):
                heads[event.service] = next_link(heads.get(event.service, GENESIS), entry)
                records.append(entry)
            case Heads(journals=journals):
                assert journals == heads
    assert heads == log.heads
    return records
