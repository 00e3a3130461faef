"""Y. Journals on their way to the audit log: in whose name, how often, and what is written there of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from authorities.audit import intake
from authorities.audit.log import Log
from authorities.audit.reasons import AuditReason
from tests.support.attack import Attempt, Scene, Tries, attack
from tests.support.audited import AUDIT, READER, WRITER, Audited, audited, identity, written
from tests.support.ca import workload
from tests.support.issuer import Issuer
from tests.support.records import CALLER
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided
from zerotrust.audit.event_types import Alarm, Exchange, Issued, RegistryChange
from zerotrust.audit.forms import sanitize
from zerotrust.audit.record import GENESIS, line_of, link_of
from zerotrust.decision import Reason
from zerotrust.identity import MAX_ACTORS
from zerotrust.service import Service
from zt.audit.journals import first_bad_record


class Ledger(Audited, Scene):
    """The audit authority, and what an attacker gets of it."""

    def __init__(self, ledger: Audited) -> None:
        super().__init__(ledger.system)

    def check_journals(self) -> None:
        """Its own is whole; the others' are sent by hand here."""
        assert first_bad_record(self.system.services[AUDIT].data / "journal.jsonl") == 0

    @property
    def refused(self) -> list[str]:
        """The reasons of what it has refused and recorded."""
        return [record["reason"] for record in self.system.records(AUDIT) if record["event"] == "refusal"]

    async def tried(self, party: str, lines: list[bytes]) -> Attempt:
        """A party sends lines of which none should be in the log then."""
        answer = await self.send(party, lines)
        inside = [line for line in lines if line in self.published()]
        reason = answer.json().get("reason")
        return Attempt(str(answer.status_code), bool(inside), [*self.refused, *([reason] if reason else [])])


@asynccontextmanager
async def in_front_of_it(folder: Path, issuer: Issuer, _kind: type[Service]) -> AsyncIterator[Ledger]:
    with patch.object(intake, "EVERY", 0.001):
        async with audited(folder, issuer, clock=lambda: 1_000_000.0) as ledger:
            yield Ledger(ledger)


@attack(300, in_front_of_it)
async def test_records_in_anothers_name(ledger: Ledger) -> Tries:
    """Alone, and behind a record of one's own."""
    own = written(WRITER, 1)
    yield await ledger.tried(WRITER, written(READER, 2))
    answer = await ledger.send(WRITER, [*own, *(theirs := written(READER, 1, link_of(own[0])))])
    yield Attempt(
        str(answer.status_code), theirs[0] in ledger.published(), ledger.refused, AuditReason.JOURNAL_OF_ANOTHER
    )


@attack(301, in_front_of_it)
async def test_records_that_were_delivered_are_sent_again(ledger: Ledger) -> Tries:
    lines = written(READER, 4)
    assert (await ledger.send(READER, lines[:3])).status_code == 200
    for first, last in ((0, 3), (2, 3), (1, 4), (0, 4)):
        answer = await ledger.send(READER, lines[first:last])
        yield Attempt(str(answer.status_code), len(found := ledger.published(READER)) != len(set(found)))


@attack(302, in_front_of_it)
async def test_a_journal_that_is_rewritten_after_delivery(ledger: Ledger) -> Tries:
    """What follows the records that were rewritten; and the last of those, with what follows."""
    lines = written(READER, 3)
    assert (await ledger.send(READER, lines)).status_code == 200
    other = written(READER, 5, origin="10.9.9.9")
    for sent in (other[3:], other[2:], other):
        yield await ledger.tried(READER, sent)


@attack(303, in_front_of_it)
async def test_a_workload_that_the_registry_does_not_know(ledger: Ledger) -> Tries:
    lines = written("agent/unknown", 1)
    answer = await ledger.ask(workload("agent/unknown"), "POST", "/journal", lines[0] + b"\n")
    reason = answer.json().get("reason")
    yield Attempt(str(answer.status_code), lines[0] in ledger.published(), [reason or ""], Reason.UNKNOWN_PEER)


@attack(304, in_front_of_it)
async def test_more_than_the_log_takes_at_the_time(ledger: Ledger) -> Tries:
    """The log stands still meanwhile, and must not fill the memory."""
    held, add = asyncio.Event(), Log.add

    async def slow(log: Log, *batch: object) -> None:
        await held.wait()
        await add(log, *batch)  # type: ignore[arg-type]

    with patch.object(Log, "add", slow), patch.object(intake, "MOST_WAITING", 2_000):
        parties = [READER, WRITER, "orchestrator", "inference", "tool/documents"]
        sending = [asyncio.create_task(ledger.send(party, written(party, 3))) for party in parties]
        for _ in range(200):
            await asyncio.sleep(0.01)
            if any(task.done() for task in sending):
                break
        held.set()
        answers = [(await task).json() for task in sending]
    busy = [answer["reason"] for answer in answers if "reason" in answer]
    yield Attempt(f"{len(busy)} refused" if busy else "all taken", not busy, busy, AuditReason.JOURNAL_BUSY)


@attack(403, in_front_of_it)
async def test_valid_records_without_end(ledger: Ledger) -> Tries:
    """Each request continues the journal; others are taken meanwhile."""
    yield await _without_end(ledger, "SHARE", 4_000)


@attack(560, in_front_of_it)
async def test_small_records_without_end(ledger: Ledger) -> Tries:
    """With fewer than 300 bytes each, a million are within a share in bytes."""
    yield await _without_end(ledger, "RECORDS", 10)


async def _without_end(ledger: Ledger, name: str, share: int) -> Attempt:
    lines = written(WRITER, 20)
    with patch.object(intake, name, share), patch.object(intake, f"{name}_A_SECOND", 0):
        for line in lines:
            answer = await ledger.send(WRITER, [line])
        assert (await ledger.send(READER, written(READER, 1))).status_code == 200
    return Attempt(str(answer.status_code), len(ledger.published(WRITER)) == len(lines), ledger.refused)


@attack(305, in_front_of_it)
async def test_what_is_recorded_of_refusals_fills_the_log(ledger: Ledger) -> Tries:
    for count in range(10):
        await ledger.send(WRITER, written(READER, 1, origin=f"10.0.0.{count}"))
    yield Attempt(f"{len(ledger.refused)} recorded", len(ledger.refused) > 1, ledger.refused)


@attack(306, in_front_of_it)
async def test_a_file_of_the_ledger_that_is_not_the_logs(ledger: Ledger) -> Tries:
    """The key that signs it lies in the same folder."""
    assert (await ledger.send(READER, written(READER, 1))).status_code == 200
    key = (ledger.system.services[AUDIT].data / "log.key").read_bytes()
    for path in ("..%2flog.key", "tile/..%2f..%2flog.key", "tile%2f0%2f..%2f..%2f..%2flog.key"):
        answer = await ledger.ask(READER, "GET", f"/log/{path}")
        yield Attempt(str(answer.status_code), key in answer.content)


@attack(388, in_front_of_it)
async def test_what_only_an_authority_says(ledger: Ledger) -> Tries:
    """An alarm is withdrawn; a token, and that a party was reinstated, are invented."""
    words: list[tuple[str, Alarm | Issued | RegistryChange]] = [
        (READER, Alarm(cause="explained", party=identity(READER), token_id="t", at=1)),
        (WRITER, Issued(until=1)),
        ("inference", RegistryChange(action="reinstate", target=sanitize(READER))),
    ]
    for party, data in words:
        event = AuditEvent(schema=1, time=1, service=identity(party), data=data).canonical()
        yield await ledger.tried(party, [line_of(event, GENESIS)])


@attack(379, in_front_of_it)
async def test_chains_without_end(ledger: Ledger) -> Tries:
    for member in "actors", "lineage":
        caller = replace(CALLER, **{member: ("a",) * (MAX_ACTORS + 1)})  # type: ignore[arg-type]
        refused = Decided(allowed=False, reason="malformed_body")
        data = Exchange(audience="a", scopes=(), decision=refused, principal=caller, parent_token_id="t")
        event = AuditEvent(schema=1, time=1, service=identity(READER), data=data).canonical()
        yield await ledger.tried(READER, [line_of(event, GENESIS)])
