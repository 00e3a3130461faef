"""The audit authority in process: who may deliver what, and that each line is in the published log once, in order."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from authorities.audit import intake
from authorities.audit.log import Log
from authorities.audit.reasons import AuditReason
from tests.support.audited import AUDIT, READER, WRITER, Audited, audited, body, identity, until, written
from tests.support.ca import workload
from tests.support.issuer import Issuer
from zerotrust.audit import delivery
from zerotrust.audit.chain import lines as lines_of
from zerotrust.audit.deletion import Deletion
from zerotrust.audit.delivery import Delivery
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided
from zerotrust.audit.event_types import Data, Outcome, Refusal
from zerotrust.audit.journal import Journal
from zerotrust.audit.log_client import RemoteLedger, fetch_policy
from zerotrust.audit.record import GENESIS, event_of, hash_of, next_link
from zerotrust.audit.tail import MOST_BYTES, MOST_LINES
from zerotrust.authority.budget import Budget
from zerotrust.decision import Decision, Reason
from zerotrust.tlog.proof import parse_proof as parsed
from zerotrust.tlog.quorum import policy


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for pause in ("EVERY", "GATHER"):
        monkeypatch.setattr(intake, pause, 0.001)
    monkeypatch.setattr(intake, "SHORTEST_PAUSE", 0.001)
    monkeypatch.setattr(intake, "LONGEST_PAUSE", 0.002)


@pytest.fixture
async def ledger(tmp_path: Path, issuer: Issuer) -> AsyncIterator[Audited]:
    async with audited(tmp_path, issuer) as alive:
        yield alive


def refusals(ledger: Audited) -> list[tuple[str, str]]:
    """What the audit authority has recorded of refusals, as its journal has it."""
    records = [record for record in ledger.system.records(AUDIT) if record["event"] == "refusal"]
    return [(record["reason"], record["detail"]) for record in records]


@pytest.mark.parametrize(("first", "last"), [(0, 4), (2, 4), (3, 4), (0, 6), (3, 6), (4, 6), (0, 2)])
async def test_a_line_that_is_sent_again_is_there_once(ledger: Audited, first: int, last: int) -> None:
    lines = written(READER, 6)
    assert (await ledger.send(READER, lines[:4])).status_code == 200

    answer = await ledger.send(READER, lines[first:last])

    assert ledger.published(READER) == lines[: max(4, last)]
    there = max(4, last)
    assert answer.json() | {"n": there, "sha256": hash_of(lines[there - 1])} == answer.json()
    known = (409, AuditReason.JOURNAL_ELSEWHERE)  # all of it is older: the caller learns where to go on
    assert (answer.status_code, answer.json().get("reason")) == (known if last < 4 else (200, None))
    assert refusals(ledger) == []


async def test_a_gap_is_not_taken_and_the_caller_learns_where_to_go_on(ledger: Audited) -> None:
    lines = written(READER, 6)
    await ledger.send(READER, lines[:2])

    answer = await ledger.send(READER, lines[3:])
    assert (answer.status_code, answer.json()["reason"]) == (409, AuditReason.JOURNAL_ELSEWHERE)
    assert (answer.json()["n"], answer.json()["sha256"]) == (2, hash_of(lines[1]))
    assert ledger.published(READER) == lines[:2]
    assert refusals(ledger) == []


async def test_a_party_that_repeats_it_is_recorded_once_a_minute(tmp_path: Path, issuer: Issuer) -> None:
    now = [1_000_000.0]
    async with audited(tmp_path, issuer, clock=lambda: now[0]) as ledger:
        for count in range(20):
            now[0] += 6
            assert (await ledger.send(WRITER, written(READER, 1, origin=f"10.0.0.{count}"))).status_code == 403
    assert len(refusals(ledger)) == 2


HEADS = b'{"heads":{"spiffe://agents.example/agent/reader":{"n":1,"sha256":"' + b"0" * 64 + b'"}},"time":1}'
MALFORMED = {
    "nothing": b"",
    "an empty line": b"\n",
    "half a line": body(written(READER, 2))[:-1],
    "no record": b"{}\n",
    "heads": HEADS + b"\n",
    "no event of schema 1": body(written(READER, 1)).replace(b'"type":"counts"', b'"type":"count"'),
    "a record that is too long": b'{"event":{"a":"' + b"x" * 65_500 + b'"},"n":1,"prev":"' + b"0" * 64 + b'"}\n',
    "too many": body(written(READER, MOST_LINES + 1)),
    "not in order": body(written(READER, 2)[::-1]),
    "no chain": body([written(READER, 2)[0], written(READER, 2, origin="10.1.1.1")[1]]),
    "a first record with one before it": body(written(READER, 1)).replace(b'"prev":"0', b'"prev":"1'),
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_is_no_chain_of_records_is_not_taken(ledger: Audited, name: str) -> None:
    answer = await ledger.ask(READER, "POST", "/journal", MALFORMED[name])

    assert (answer.status_code, answer.json()["reason"]) == (400, AuditReason.JOURNAL_MALFORMED)
    assert ledger.published(READER) == []
    assert refusals(ledger) == []


async def test_the_longest_request_is_taken_and_no_longer_one(ledger: Audited) -> None:
    lines = written(READER, MOST_LINES)
    assert (await ledger.send(READER, lines)).status_code == 200
    answer = await ledger.ask(READER, "POST", "/journal", b"x" * (MOST_BYTES + 1))
    assert (answer.status_code, answer.json()["reason"]) == (413, Reason.BODY_TOO_LARGE)


async def test_one_journal_is_taken_by_one_request_at_a_time(ledger: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    held, add = asyncio.Event(), Log.add

    async def slow(log: Log, *batch: object) -> None:
        await held.wait()
        await add(log, *batch)  # type: ignore[arg-type]

    monkeypatch.setattr(Log, "add", slow)
    lines = written(READER, 3)
    first = asyncio.create_task(ledger.send(READER, lines))
    second = None
    async with asyncio.timeout(30):
        while second is None or second.status_code != 429:
            await asyncio.sleep(0.01)
            second = await ledger.send(READER, lines[:1])
    assert (second.json()["reason"], second.headers["retry-after"]) == (AuditReason.JOURNAL_BUSY, "1")
    monkeypatch.setattr(intake, "MOST_WAITING", 10)
    third = await ledger.send(WRITER, written(WRITER, 1))
    assert (third.status_code, third.json()["reason"]) == (429, AuditReason.JOURNAL_BUSY)

    held.set()
    assert (await first).status_code == 200
    assert ledger.published(READER) == lines


async def test_while_nothing_can_be_published_nothing_is_acknowledged_and_then_all_of_it(
    ledger: Audited, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    registry = ledger.system.registry.address("authority/registry")
    witness = ledger.system.apps.pop(registry)
    lines = written(READER, 3)
    for _ in range(3):
        answer = await ledger.send(READER, lines)
        assert (answer.status_code, answer.json()["reason"]) == (503, AuditReason.LOG_UNAVAILABLE)
        assert answer.headers["retry-after"] == "1"
    assert (await ledger.ask(READER, "GET", "/journal")).status_code == 503
    assert caplog.text.count("the audit log does not go on, and the journals keep everything") == 1

    ledger.system.apps[registry] = witness
    await ledger.ready()
    there = (await ledger.ask(READER, "GET", "/journal")).json()["n"]
    assert there in {0, 3}  # what was begun is finished
    assert (await ledger.send(READER, lines)).json()["n"] == 3
    assert ledger.published(READER) == lines
    assert "the audit log goes on" in caplog.text


async def test_who_reads_the_log_does_not_make_it_grow(tmp_path: Path, issuer: Issuer) -> None:
    async with audited(tmp_path, issuer) as ledger:
        await ledger.send(READER, written(READER, 3))
        before = ledger.published()
        for path in ["checkpoint", "tile/entries/000.p/4", "tile/0/000.p/4"] * 5:
            assert (await ledger.ask(WRITER, "GET", f"/log/{path}")).status_code == 200
        assert (await ledger.ask(WRITER, "GET", "/log/tile/0/001")).status_code == 404
    # It has ended: what it counted is written, and delivered.
    assert (ledger.published(), ledger.system.records(AUDIT)) == (before, [])


@pytest.mark.parametrize("settled", [True, False], ids=["after a while", "at once"])
async def test_its_own_last_records_are_in_the_log_when_it_has_ended(
    tmp_path: Path, issuer: Issuer, *, settled: bool
) -> None:
    async with audited(tmp_path, issuer) as ledger:
        if settled:
            await ledger.send(WRITER, written(READER, 1))  # is recorded
            await until(lambda: ledger.published(AUDIT))
        counted = Decided.of(Decision(allowed=False, reason=Reason.FAILED))
        ledger.system.services[AUDIT].recorder.append_lazily(Refusal(decision=counted))
    own = [*lines_of(tmp_path / AUDIT.replace("/", "-") / "journal.jsonl")]

    assert b'"reason":"failed"' in own[-1]
    assert ledger.published(AUDIT) == own


async def test_it_ends_when_no_lines_have_come_for_a_while(ledger: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    wait = ledger.system.services[AUDIT].before_end
    assert wait
    monkeypatch.setattr(intake, "QUIET", 0.01)
    monkeypatch.setattr(intake, "LAST", 3600)
    lines, publishing, go_on = written(READER, 2), asyncio.Event(), asyncio.Event()
    add = Log.add

    async def slowly(*args: Any) -> None:
        publishing.set()
        await go_on.wait()
        await add(*args)

    monkeypatch.setattr(Log, "add", slowly)
    sending = asyncio.create_task(ledger.send(READER, lines))
    await publishing.wait()
    ending = asyncio.ensure_future(wait())
    await asyncio.sleep(0.1)
    assert not ending.done()  # lines are on their way
    go_on.set()
    async with asyncio.timeout(30):
        assert (await sending).status_code == 200
        await ending

    publishing.clear()
    go_on.clear()
    monkeypatch.setattr(intake, "LAST", 0.01)
    sending = asyncio.create_task(ledger.send(READER, written(READER, 3)[2:]))
    await publishing.wait()
    async with asyncio.timeout(30):
        await wait()
    go_on.set()
    await sending


def ended(receipt: str) -> Outcome:
    return Outcome(
        ended="complete", duration=1, request_sha256="0" * 64, answer_sha256="0" * 64, status=200, receipt=receipt
    )


def saying(party: str, *said: Data) -> list[bytes]:
    """The first lines of a party's journal, with these events."""
    lines, link = list[bytes](), GENESIS
    for data in said:
        event = AuditEvent(schema=1, time=1, service=identity(party), data=data).canonical()
        lines.append(b'{"event":%b,"n":%d,"prev":"%b"}' % (event, link.records + 1, link.head.encode()))
        link = next_link(link, lines[-1])
    return lines


async def test_a_receipts_record_comes_with_its_proof(ledger: Audited) -> None:
    receipt = hashlib.sha256(b"a receipt").hexdigest()
    absent = await ledger.ask(READER, "GET", f"/proofs/{receipt}")
    assert (absent.status_code, absent.headers["retry-after"]) == (404, "1")
    outcome = ended(receipt)
    assert (await ledger.send(READER, saying(READER, outcome))).status_code == 200

    await until(lambda: ledger.ask(READER, "GET", f"/proofs/{receipt}"))
    found = (await ledger.ask(READER, "GET", f"/proofs/{receipt}")).json()
    assert event_of(found["entry"].encode()).data == outcome
    registry = ledger.system.registry.address("authority/registry")
    async with ledger.client(workload(READER)) as http:
        demanded = policy((await http.get(f"{registry}/audit-policy")).text)
    checkpoint, _ = parsed(found["proof"].encode()).check(found["entry"].encode(), demanded)

    await ledger.send(WRITER, written(WRITER, 300))  # by a checkpoint of then, although there is a newer one
    assert (await ledger.ask(READER, "GET", f"/proofs/{receipt}")).json() == found
    now = (await ledger.ask(READER, "GET", "/log/checkpoint")).text.splitlines()
    assert int(now[1]) > checkpoint.size


@pytest.mark.parametrize(
    ("path", "status"),
    [("3", 404), ("2?since=9", 404), ("0", 400), ("x", 400), ("1?since=-1", 400), ("9007199254740992", 400)],
)
async def test_what_is_not_in_the_published_log_is_not_proven(ledger: Audited, path: str, status: int) -> None:
    await ledger.send(READER, written(READER, 2))
    await until(lambda: ledger.ask(READER, "GET", "/journal/2"))
    assert (await ledger.ask(READER, "GET", f"/journal/{path}")).status_code == status
    assert (await ledger.ask(WRITER, "GET", "/journal/2")).status_code == 404  # of the caller's own journal


async def test_nobody_buries_the_receipt_of_another_party(ledger: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authorities.audit.index.MOST_FOUND", 5)
    receipt = hashlib.sha256(b"a receipt").hexdigest()
    await ledger.send(WRITER, saying(WRITER, ended(receipt)))
    await ledger.send(READER, saying(READER, *[ended(receipt)] * 10))
    for party in WRITER, READER:
        await until(partial(ledger.ask, party, "GET", f"/proofs/{receipt}"))
        found = (await ledger.ask(party, "GET", f"/proofs/{receipt}")).json()
        assert event_of(found["entry"].encode()).service == identity(party)
    assert (await ledger.ask("orchestrator", "GET", f"/proofs/{receipt}")).status_code == 404


async def test_a_number_without_a_canonical_form_is_malformed(ledger: Audited) -> None:
    [line] = saying(READER, ended("0" * 64))
    assert b'"time":1}' in line

    answer = await ledger.send(READER, [line.replace(b'"time":1}', b'"time":%d}' % 2**60)])

    assert (answer.status_code, answer.json()["reason"]) == (400, AuditReason.JOURNAL_MALFORMED)


async def test_no_bug_ends_the_publication(
    ledger: Audited, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    add = Log.add
    monkeypatch.setattr(Log, "add", lambda *_: (_ for _ in ()).throw(TypeError("a bug")))
    assert (await ledger.send(READER, written(READER, 1))).status_code == 503
    assert "TypeError a bug" in caplog.text
    monkeypatch.setattr(Log, "add", add)
    await ledger.ready()
    assert (await ledger.send(READER, written(READER, 1))).status_code == 200


async def test_who_delivers_more_than_its_share_waits_loses_nothing_and_holds_nobody_up(
    tmp_path: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, path, service = [0.0], tmp_path / "journal.jsonl", identity(READER)
    for pause in "SHORTEST_PAUSE", "LONGEST_PAUSE", "BETWEEN", "GATHER":
        monkeypatch.setattr(delivery, pause, 0.001)
    events = [event_of(line).canonical() for line in written(READER, 40)]
    monkeypatch.setattr(intake, "SHARE", share := 20 * (len(written(READER, 20)[-1]) + 1))
    monkeypatch.setattr(intake, "SHARE_A_SECOND", share)
    monkeypatch.setattr(intake, "Budget", partial(Budget, clock=lambda: now[0]))
    journal = Journal(path)
    async with audited(tmp_path, issuer) as ledger, ledger.client(workload(READER)) as http:
        remote = RemoteLedger(http, ledger.address)
        policy_ = partial(fetch_policy, http, ledger.system.registry.address("authority/registry"))
        delivering = asyncio.create_task(Delivery(journal, path, remote, Deletion(path, remote, policy_)).run())
        for half in events[:20], events[20:]:
            for event in half:
                await journal.append(event)
            await until(lambda: len(ledger.published(READER)) >= 20)
        await until(lambda: bool(refusals(ledger)))
        assert (await ledger.send(WRITER, written(WRITER, 1))).status_code == 200
        assert len(ledger.published(READER)) == 20

        now[0] += 1
        await until(lambda: ledger.published(READER) == [*lines_of(path)])
        [(reason, detail)] = refusals(ledger)
        assert (reason, detail.split(": ")[0]) == (AuditReason.JOURNAL_TOO_FAST, service)
        delivering.cancel()
        await asyncio.wait([delivering])
    journal.close()
