"""The way into the audit log when its process ends: nobody waits for what does not come any more."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

import pytest

from authorities.audit import intake
from authorities.audit.intake import Intake
from authorities.audit.log import LogError
from authorities.audit.reasons import AuditReason
from tests.support.audited import READER, WRITER, body, written
from tests.support.system import registry
from tests.support.waiting import until
from zerotrust.audit.record import GENESIS, Link
from zerotrust.decision import Denied

SENT = {registry().id(party): body(written(party, 2)) for party in (READER, WRITER)}
READERS, WRITERS = SENT


class Published:
    """The log, whose batches are published at once."""

    def __init__(self) -> None:
        self.heads: Mapping[str, Link] = {}

    async def finish(self) -> None:
        pass

    async def add(self, _lines: Sequence[bytes], heads: Mapping[str, Link]) -> None:
        self.heads = heads


async def nothing(_service: str, _number: int) -> None:
    return None


@pytest.fixture
def into_the_log() -> Intake:
    return Intake(Published(), nothing, lambda: None, {})  # type: ignore[arg-type]


async def test_lines_that_still_wait_at_the_end_are_refused_as_are_those_that_come_later(into_the_log: Intake) -> None:
    publishing = asyncio.create_task(into_the_log.run())
    async with asyncio.timeout(30):
        await until(lambda: into_the_log._ready)
        assert (await into_the_log.take(READERS, SENT[READERS])).records == 2  # and a pause follows
        waiting = asyncio.create_task(into_the_log.take(WRITERS, SENT[WRITERS]))
        await until(lambda: into_the_log._waiting)
        publishing.cancel()

        for late in (waiting, into_the_log.take(WRITERS, SENT[WRITERS])):
            with pytest.raises(Denied) as refused:
                await late
            assert refused.value.reason is AuditReason.LOG_UNAVAILABLE
        await into_the_log.wait_until_done()


async def test_lines_that_the_log_has_already_do_not_put_its_end_off(into_the_log: Intake) -> None:
    publishing = asyncio.create_task(into_the_log.run())
    async with asyncio.timeout(30):
        await until(lambda: into_the_log._ready)
        for new in (True, False):
            into_the_log._came.clear()
            assert (await into_the_log.take(READERS, SENT[READERS])).records == 2
            assert into_the_log._came.is_set() == new
    publishing.cancel()
    await asyncio.wait([publishing])


async def test_what_is_not_published_or_there_already_costs_nothing_of_a_share(
    into_the_log: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, share in ("SHARE", 2 * len(SENT[READERS])), ("RECORDS", 4):
        monkeypatch.setattr(intake, name, share)
        monkeypatch.setattr(intake, f"{name}_A_SECOND", 0)
    for pause in "SHORTEST_PAUSE", "GATHER", "EVERY":
        monkeypatch.setattr(intake, pause, 0.001)
    failing = [LogError("the registry does not answer")] * 5
    add = Published.add

    async def sometimes(log: Published, lines: Sequence[bytes], heads: Mapping[str, Link]) -> None:
        if failing:
            raise failing.pop()
        await add(log, lines, heads)

    monkeypatch.setattr(Published, "add", sometimes)
    publishing = asyncio.create_task(into_the_log.run())
    async with asyncio.timeout(30):
        there = GENESIS
        while there == GENESIS:
            with suppress(Denied):
                there = await into_the_log.take(READERS, SENT[READERS])
            await asyncio.sleep(0)
        for _ in range(3):
            await into_the_log.take(READERS, SENT[READERS])
        more = body(written(READER, 4)[2:])
        assert (await into_the_log.take(READERS, more)).records == 4
        with pytest.raises(Denied) as refused:
            await into_the_log.take(READERS, more)
        assert refused.value.reason is AuditReason.JOURNAL_TOO_FAST
    publishing.cancel()
    await asyncio.wait([publishing])
