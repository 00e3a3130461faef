"""How long a record takes into the log, as the benchmark measures it."""

import asyncio
import time
from pathlib import Path

import pytest

from lab.bench.inclusion import POLLED, Inclusion, inclusion
from tests.support.ledger import SERVICE, Registry, grow, opened
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided
from zerotrust.audit.event_types import Data, Outcome, Request
from zerotrust.audit.forms import sanitize
from zerotrust.audit.record import GENESIS, Link, after

ADMITTED = Request(operation=sanitize("GET /"), decision=Decided(allowed=True, reason="granted"))
ENDED = Outcome(ended="complete", duration=1, request_sha256="0" * 64, answer_sha256="1" * 64)


def line(data: Data, link: Link, seconds: float) -> bytes:
    event = AuditEvent(schema=1, time=int(seconds * 1_000_000), service=SERVICE, data=data).canonical()
    return b'{"event":%b,"n":%d,"prev":"%b"}' % (event, link.records + 1, link.head.encode())


async def test_the_time_counts_from_the_record_of_a_decision_to_the_first_checkpoint_that_has_it(
    tmp_path: Path,
) -> None:
    (folder := tmp_path / "registry").mkdir()
    log = await opened(tmp_path / "log", Registry(folder))
    seen = Inclusion(tmp_path / "log" / "log")
    seen.note(1)  # before the first checkpoint
    await grow(log, 300)  # more than a bundle
    seen.note(100)
    link = log.heads.get(SERVICE, GENESIS)
    for data, second in ((ADMITTED, 99), (ADMITTED, 101), (ENDED, 102), (ADMITTED, 110)):
        await log.add([one := line(data, link, second)], {SERVICE: (link := after(link, one))})
        seen.note(second + 2.5)
        seen.note(second + 4)
    await log.close()

    assert seen.seconds() == pytest.approx([2.5, 2.5])


async def test_a_log_is_watched_until_the_block_ends(tmp_path: Path) -> None:
    (folder := tmp_path / "registry").mkdir()
    log = await opened(tmp_path / "log", Registry(folder))
    await grow(log)
    link = log.heads[SERVICE]
    async with inclusion(tmp_path / "log" / "log") as seen:
        while not (took := seen.seconds()):
            await log.add([one := line(ADMITTED, link, time.time())], {SERVICE: (link := after(link, one))})
            await asyncio.sleep(POLLED)
    await log.close()

    assert min(took) >= 0
