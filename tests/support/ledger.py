"""A ledger's log in a folder, and a registry that keeps what it cosigned outside of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from authorities.audit.log import Growth, Log, LogError, OtherHistory
from tests.support.tlog import ORIGIN, mth, witness
from zerotrust.audit.event import AuditEvent, Counts, Unverified
from zerotrust.audit.leaf import Heads, Record, leaf_of
from zerotrust.audit.record import GENESIS, Link, after
from zerotrust.tlog.checkpoint import Checkpoint, check_signed, cosigned, cosigned_at
from zerotrust.tlog.note import Signature, VerifierKey
from zerotrust.tlog.tiles import entries_of, path, widths
from zerotrust.tlog.tree import leaf_hash
from zerotrust.tlog.witness import NotCosigned, Request, judged, request

SERVICE = "spiffe://agents.example/tool/documents"


class Registry:
    """Cosigns as the registry does; `held` is what a restart of the ledger finds."""

    def __init__(self) -> None:
        self.held: dict[str, Checkpoint] = {}
        self.log: VerifierKey | None = None
        self.keys = witness("registry")
        self.fails: list[str] = []
        """What goes wrong with the next requests: "before" it keeps the checkpoint, or "after" that."""

    async def __call__(self, growth: Growth) -> Sequence[Signature]:
        fault = self.fails.pop(0) if self.fails else ""
        if fault == "before":
            raise LogError("the registry does not answer")
        try:
            found = self._cosigned(growth, growth.before)
        except NotCosigned as refusal:
            if refusal.held is None or refusal.held > growth.checkpoint.size:
                raise OtherHistory(str(refusal)) from refusal
            try:
                found = self._cosigned(growth, refusal.held)
            except NotCosigned as other:
                raise OtherHistory(str(other)) from other
        if fault == "after":
            raise LogError("the registry's answer is lost")
        return [found]

    def _cosigned(self, growth: Growth, old: int) -> Signature:
        asked: Request = request(str(growth.since(old)).encode())
        assert self.log
        new = judged(asked, {ORIGIN: self.log}, self.held)
        self.held[ORIGIN] = new
        return cosigned(new.text, self.keys.public, self.keys.private, 1_795_741_378)


async def opened(folder: Path, registry: Registry) -> Log:
    """A log that is ready for lines."""
    log = await Log.open(folder, ORIGIN, registry)
    registry.log = registry.log or log.key
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
        link = after(link, made[-1])
    return made, {**heads, service: link}


async def grow(log: Log, count: int = 1, service: str = SERVICE) -> list[bytes]:
    """Add the next lines of a journal."""
    some, heads = lines(log.heads, count, service)
    await log.add(some, heads)
    return some


def published(log: Log, registry: Registry) -> list[bytes]:
    """All leaves of the published checkpoint, which this checks from the files alone: signatures, tree and chains."""
    if not log.note:
        return []
    checkpoint = check_signed(log.note, log.key)
    assert cosigned_at(log.note, registry.keys.public)
    entries = list[bytes]()
    for index, width in widths(checkpoint.size, 0):
        some = entries_of(log.read(path("entries", index, width)), width)
        assert log.read(path(0, index, width)) == b"".join(map(leaf_hash, some))
        entries += some
    assert mth(list(map(leaf_hash, entries))) == checkpoint.root
    heads = dict[str, Link]()
    for entry in entries:
        match leaf_of(entry):
            case Record(event=event):
                heads[event.service] = after(heads.get(event.service, GENESIS), entry)
            case Heads(journals=journals):
                assert journals == heads
    assert heads == log.heads
    return [entry for entry in entries if isinstance(leaf_of(entry), Record)]
