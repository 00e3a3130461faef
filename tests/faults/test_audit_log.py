"""The audit log of the real system: a task's records are in it within seconds, and nothing is lost while it is down."""

import asyncio
import signal
import time
from collections.abc import Callable

import pytest

from start.system import System
from tests.support.audited import leaves_of
from tests.support.real import relaunched
from tests.support.real_processes import finished, login, process
from zerotrust.audit.chain import lines
from zerotrust.audit.record import GENESIS, last_link, next_link

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

AUDIT = "authority/audit"


def published(system: System) -> list[bytes]:
    """All leaves of the published log, from its files."""
    return leaves_of(system.data(AUDIT) / "log")


def missing(system: System, name: str) -> list[bytes]:
    """The lines of a journal, or of what is left of it, that are not in the published log."""
    there = set(published(system))
    return [line for line in lines(system.journal(name)) if line not in there]


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(90):
        while not met():
            await asyncio.sleep(0.1)


async def everything(system: System) -> None:
    """Wait until every record that is written now is in the log."""
    written = {line for name in system.registry.launched for line in [*lines(system.journal(name))][-1:]}
    await until(lambda: written <= set(published(system)))


async def test_a_tasks_records_are_in_the_log_within_seconds_also_after_the_log_was_killed_meanwhile(
    real: System,
) -> None:
    async with real.user() as user:
        assert await finished(real, user, await login(real))
        began = time.monotonic()
        await everything(real)
        print(f"all records in the log after {time.monotonic() - began:.2f} s")

        process(real, AUDIT).process.send_signal(signal.SIGKILL)
        before = published(real)
        assert await finished(real, user, await login(real))  # nobody waits for the log
        assert missing(real, "tool/documents")
        assert published(real) == before
        await relaunched(real, AUDIT)
        await everything(real)

    assert published(real)[: len(before)] == before  # one history
    heads = {real.registry.id(name): GENESIS for name in real.registry.launched}
    for leaf in published(real):
        if not leaf.startswith(b'{"heads"'):
            [service] = [one for one in heads if f'"service":"{one}"'.encode() in leaf]
            heads[service] = next_link(heads[service], leaf)  # each journal once, in order, without a gap
    for name in real.registry.services:
        own = last_link(GENESIS, lines(real.journal(name)))
        assert own.records - heads[real.registry.id(name)].records < 100  # what was written since
