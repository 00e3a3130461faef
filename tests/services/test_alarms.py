"""The audit authority raises its alarms: on record, in its log, each once, also over a restart."""

import logging
import re
from pathlib import Path

import pytest

from authorities.audit import reconciliation
from authorities.audit.alarms import Alarms
from tests.support.audited import AUDIT, READER, Audited, audited, identity, ledger_of, until, written
from tests.support.exchanges import exchange
from tests.support.issuer import Issuer
from tests.support.records import CALLER
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided
from zerotrust.audit.event_types import Alarm, Data, Issued, IssuedToken, Refusal
from zerotrust.audit.forms import MICROSECONDS
from zerotrust.audit.record import GENESIS, Link, event_of, hash_of
from zerotrust.authority.log.tiles import WIDTH

REGISTRY = "authority/registry"
NOW = 1_795_600_000


class Party:
    """A party that delivers records of its own."""

    def __init__(self, name: str) -> None:
        self.name, self.link = name, GENESIS

    async def says(self, ledger: Audited, data: Data, at: float = 0) -> None:
        service, time = identity(self.name), int((NOW + at) * MICROSECONDS)
        event = AuditEvent(schema=1, time=time, service=service, data=data).canonical()
        line = b'{"event":%b,"n":%d,"prev":"%b"}' % (event, self.link.records + 1, self.link.head.encode())
        assert (await ledger.send(self.name, [line])).status_code == 200
        self.link = Link(self.link.records + 1, hash_of(line))


ANYTHING = Refusal(decision=Decided(allowed=False, reason="malformed_body"))
MADE = IssuedToken(client=identity(READER), token_id="behind", time=NOW * MICROSECONDS, subject=CALLER.subject)


def alarms(ledger: Audited) -> list[Alarm]:
    found = (event_of(line).data for line in ledger.published(AUDIT))
    return [data for data in found if isinstance(data, Alarm)]


async def test_an_exchange_behind_a_partys_back_is_an_alarm_on_record_and_in_the_log_once(
    tmp_path: Path, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    registry, reader = Party(REGISTRY), Party(READER)
    async with audited(tmp_path, issuer) as ledger:
        await registry.says(ledger, Issued(until=NOW * MICROSECONDS, tokens=(MADE,)))
        assert alarms(ledger) == []
        await reader.says(ledger, ANYTHING, at=20)
        await until(lambda: bool(alarms(ledger)))
        system = ledger.system
    async with ledger_of(system) as ledger:
        await reader.says(ledger, ANYTHING, at=21)
        await reader.says(ledger, ANYTHING, at=22)

        cause = Alarm(
            cause="unexplained", party=identity(READER), token_id="behind", at=MADE.time, subject=CALLER.subject
        )
        assert alarms(ledger) == [cause]
    told = [record for record in caplog.records if "has exchanged token behind" in record.message]
    assert [record.levelno for record in told] == [logging.WARNING]


@pytest.mark.parametrize("taken", [reconciliation._ID, re.compile(r".*", re.DOTALL)], ids=["left out", "found"])
async def test_a_token_id_that_no_alarm_can_name_does_not_silence_the_ledgers_own_journal(
    tmp_path: Path, issuer: Issuer, taken: re.Pattern[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "_ID", taken)  # an alarm that would be no record is not written either
    registry, reader = Party(REGISTRY), Party(READER)
    async with audited(tmp_path, issuer) as ledger:
        for name in "a b", "\x1b[2J", "an honest ending\n", "another":
            await reader.says(ledger, exchange(name))
        await registry.says(ledger, Issued(until=(NOW + 60) * MICROSECONDS))
        await until(lambda: bool(alarms(ledger)))

        assert [(alarm.cause, alarm.token_id) for alarm in alarms(ledger)] == [("unknown", "another")]
        own = (ledger.system.folder / "authority-audit" / "journal.jsonl").read_bytes().splitlines()
        assert [event_of(line).service for line in own] == [identity(AUDIT)] * len(own)


async def test_no_more_than_one_bundle_of_the_log_is_in_memory(
    tmp_path: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = list[int]()
    leaves = Alarms._leaves

    def counted(one: Alarms, first: int, size: int) -> list[bytes]:
        found = leaves(one, first, size)
        taken.append(len(found))
        return found

    monkeypatch.setattr(Alarms, "_leaves", counted)
    reader = Party(READER)
    async with audited(tmp_path, issuer) as ledger:
        lines = written(READER, 700)
        assert (await ledger.send(READER, lines)).status_code == 200
        await until(lambda: sum(taken) >= 701)
        reader.link = Link(700, hash_of(lines[-1]))
        await reader.says(ledger, ANYTHING)
        system = ledger.system
    before = sum(taken)
    taken.clear()
    async with ledger_of(system) as ledger:
        await until(lambda: sum(taken) >= before)
    assert max(taken) <= WIDTH
