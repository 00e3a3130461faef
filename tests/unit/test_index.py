"""The index of the log finds leaves by their place or a receipt, and nothing in it is believed."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from authorities.audit import index as module
from authorities.audit.index import Index
from authorities.audit.log import Log
from authorities.audit.terms import Term, receipt_term, record_term, terms_of
from tests.support.ledger import SERVICE, Registry, grow, opened
from tests.support.records import CALLER
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided, Resource, Trace
from zerotrust.audit.event_types import Access, Data, Outcome, Request
from zerotrust.audit.forms import sanitize
from zerotrust.audit.record import GENESIS, Link, next_link
from zerotrust.tlog.quorum import policy
from zerotrust.tlog.tree import InvalidLog

READER, REGISTRY = "spiffe://agents.example/agent/reader", "spiffe://agents.example/authority/registry"
RECEIPT, TRACE = "5e" * 32, "4b" * 16
YES = Decided(allowed=True, reason="granted")


def line(data: Data, link: Link = GENESIS, service: str = SERVICE, trace: str | None = TRACE) -> bytes:
    spans = Trace(trace_id=trace, span_id="00" * 8, caller_trace_id="7c" * 16) if trace else None
    event = AuditEvent(schema=1, time=1, service=service, data=data, trace=spans).canonical()
    return b'{"event":%b,"n":%d,"prev":"%b"}' % (event, link.records + 1, link.head.encode())


def outcome(receipt: str | None) -> Outcome:
    return Outcome(
        ended="complete", duration=1, request_sha256="0" * 64, answer_sha256="1" * 64, status=200, receipt=receipt
    )


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    (folder := tmp_path / "registry").mkdir()
    log = await opened(tmp_path / "log", Registry(folder))
    yield log
    await log.close()


@pytest.fixture
async def index(tmp_path: Path, log: Log) -> AsyncIterator[Index]:
    index = Index(tmp_path / "index.db", log)
    yield index
    await index.close()


async def add(log: Log, *data: Data) -> list[bytes]:
    link, some = log.heads.get(SERVICE, GENESIS), []
    for one in data:
        some.append(line(one, link))
        link = next_link(link, some[-1])
    await log.add(some, {**log.heads, SERVICE: link})
    return some


@pytest.mark.parametrize(
    ("data", "terms"),
    [
        (outcome(RECEIPT), {receipt_term(REGISTRY, RECEIPT)}),
        (outcome(None), set()),
        (Request(operation=sanitize(f'"receipt":"{RECEIPT}"'), decision=YES, principal=CALLER), set()),
        (
            Access(
                operation=sanitize("read"),
                resource=Resource(
                    kind="Document", name=sanitize("report-3"), attributes={"receipt": sanitize(RECEIPT)}
                ),
                decision=YES,
                principal=CALLER,
            ),
            set(),
        ),
    ],
)
def test_a_leaf_is_found_by_its_place_and_by_the_receipt_of_an_outcome_alone(data: Data, terms: set[Term]) -> None:
    assert terms_of(line(data, service=REGISTRY)) == {record_term(REGISTRY, 1)} | terms
    assert terms_of(line(data, Link(41, "0" * 64), REGISTRY, trace=None)) == {record_term(REGISTRY, 42)} | terms


async def test_what_is_published_is_found_the_latest_first_and_with_its_proof(
    log: Log, index: Index, tmp_path: Path
) -> None:
    first = await add(log, outcome(RECEIPT), outcome("aa" * 32))
    second = await add(log, outcome(RECEIPT))
    assert await index.find(receipt_term(SERVICE, RECEIPT)) == []
    await index.follow()

    assert await index.find(receipt_term(SERVICE, RECEIPT)) == [3, 0]
    assert await index.find(receipt_term(SERVICE, "bb" * 32)) == []
    assert await index.record(SERVICE, 2) == first[1]
    assert await index.record(SERVICE, 4) is None
    entry, proof = await index.proof(3)
    assert entry == second[0]
    demanded = await Registry(tmp_path / "registry").witness.policy()
    assert demanded
    proof.check(entry, policy(demanded))


async def test_each_leaf_of_a_long_log_is_found_and_proved(log: Log, index: Index, tmp_path: Path) -> None:
    lines = [one for count in (1, 200, 300, 7) for one in await grow(log, count)]
    await index.follow()
    demanded = policy(await Registry(tmp_path / "registry").witness.policy() or "")

    for number, one in list(enumerate(lines, 1))[::50]:
        [leaf] = await index.find(record_term(SERVICE, number))
        entry, proof = await index.proof(leaf)
        assert entry == one
        proof.check(entry, demanded)
    for leaf in (-1, log.size):
        with pytest.raises(InvalidLog, match="is not published"):
            await index.proof(leaf)


async def test_a_search_has_a_bound(log: Log, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FOUND", 3)
    await add(log, *(outcome(RECEIPT) for _ in range(5)))
    await index.follow()

    assert await index.find(receipt_term(SERVICE, RECEIPT)) == [4, 3, 2]


async def remade(tmp_path: Path, log: Log) -> list[int]:
    """What an index finds that begins with the file that is there."""
    index = Index(tmp_path / "index.db", log)
    try:
        await index.follow()
        return await index.find(receipt_term(SERVICE, RECEIPT))
    finally:
        await index.close()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "none": Path.exists,
    "missing": Path.unlink,
    "cut": lambda file: file.write_bytes(file.read_bytes()[:5000]),
    "no database": lambda file: file.write_bytes(b"no database" * 1000),
    "of a longer log": lambda file: changed(file, "UPDATE state SET size = 1000"),
    "without tables": lambda file: changed(file, "DROP TABLE leaves"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_after_a_restart_it_goes_on_and_what_is_wrong_with_its_file_is_repaired_from_the_log(
    log: Log, index: Index, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    await add(log, outcome(RECEIPT))
    await index.follow()
    await index.close()
    damage(tmp_path / "index.db")
    await add(log, outcome(RECEIPT))

    assert await remade(tmp_path, log) == [2, 0]


MOVED = "UPDATE leaves SET leaf = ? WHERE leaf = 0 AND kind = 'receipt'"


def changed(file: Path, statement: str, *values: int) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(statement, values)


@pytest.mark.parametrize("leaf", [1, 7, -1])
async def test_what_it_says_of_a_leaf_is_compared_with_the_leaf(
    log: Log, index: Index, tmp_path: Path, leaf: int
) -> None:
    await add(log, outcome(RECEIPT), outcome("aa" * 32))
    await index.follow()
    changed(tmp_path / "index.db", MOVED, leaf)

    assert await index.find(receipt_term(SERVICE, RECEIPT)) == [0]
    assert await index.find(receipt_term(SERVICE, "aa" * 32)) == [1]


async def test_an_index_that_cannot_be_made_stops_nobody(
    log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await add(log, outcome(RECEIPT))
    index = Index(tmp_path / "nowhere" / "index.db", log)

    await index.follow()

    assert "cannot be made again" in caplog.text
    (tmp_path / "nowhere").mkdir()
    await index.follow()
    assert await index.find(receipt_term(SERVICE, RECEIPT)) == [0]
    await index.close()
