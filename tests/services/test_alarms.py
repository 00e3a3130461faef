"""The audit authority raises its alarms: on record, in its log, each once, also over a restart."""

import logging
from pathlib import Path

import pytest

from tests.support.audited import AUDIT, READER, Audited, audited, identity, ledger_of, until
from tests.support.issuer import Issuer
from tests.support.records import CALLER
from zerotrust.audit.event import MICROSECONDS, Alarm, AuditEvent, Data, Decided, Issued, IssuedToken, Refusal
from zerotrust.audit.record import GENESIS, Link, event_of, hash_of

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
