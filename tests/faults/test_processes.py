"""Processes of the real system stop, and end; what the others do then, and that they find them again by themselves."""

import asyncio
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from start.system import System
from tests.support.real import relaunched
from tests.support.real_processes import ended, finished, login, process, task
from zt.audit.journals import first_bad_record
from zt.people.login import Login

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(loop_scope="session")
async def user(real: System) -> AsyncIterator[httpx.AsyncClient]:
    async with real.user() as http:
        yield http


async def _until(met: Any, seconds: float = 90) -> None:
    async with asyncio.timeout(seconds):
        while not await met():
            await asyncio.sleep(0.1)


async def test_an_agent_that_is_killed_in_mid_step_may_have_done_it_and_another_one_is_found(
    real: System, user: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    alice, writer = await login(real), process(real, "agent/writer")
    await relaunched(real, "orchestrator")
    assert ended(await task(real, user, alice)) == "finished"  # now it knows the writer's card, and will for a minute
    writer.process.send_signal(signal.SIGSTOP)

    async def asked() -> bool:  # the kernel has taken the question for it
        port = f":{real.port('agent/writer'):04X}"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return any(row[1].endswith(port) and row[3] == "01" and int(row[4][9:], 16) for row in rows)

    working = asyncio.create_task(task(real, user, alice))
    await _until(asked)
    writer.process.send_signal(signal.SIGKILL)
    told = (await working).json()

    assert [f"{step['agent']} {step['event']}" for step in told["steps"]] == [
        "agent/reader started",
        "agent/reader done",
        "agent/writer started",
    ]
    assert told["result"]["event"] == "unclear"
    assert told["result"]["text"] == "agent/writer: gave no answer; it may have been done"

    await _until(partial(_said, capsys, "agent/writer has ended by itself"))
    again = (await task(real, user, alice)).json()["result"]
    assert (again["event"], again["text"]) == ("failed", "agent/writer: could not be reached")
    await relaunched(real, "agent/writer")
    await _until(partial(finished, real, user, alice))


async def _refused_for(real: System, user: httpx.AsyncClient, alice: Login, reason: str) -> bool:
    answer = await task(real, user, alice)
    return answer.status_code == 503 and answer.json().get("reason") == reason  # a task that has begun has no reason


async def _said(capsys: pytest.CaptureFixture[str], words: str) -> bool:
    return words in capsys.readouterr().out


async def test_while_keycloak_stands_still_nobody_is_let_in_and_then_all_goes_on(
    real: System, user: httpx.AsyncClient
) -> None:
    known, new = await login(real), await login(real)
    assert ended(await task(real, user, known)) == "finished"
    keycloak = real.keycloak._process
    assert keycloak

    keycloak.send_signal(signal.SIGSTOP)
    refused = await task(real, user, new)
    assert (refused.status_code, refused.json()["reason"]) == (503, "issuer_unavailable")
    assert refused.headers["retry-after"]
    # By now Keycloak was silent for longer than anybody goes on without its word, also with what was exchanged before.
    refused = await task(real, user, known)
    assert (refused.status_code, refused.json()["reason"]) == (503, "revocation_unknown")
    keycloak.send_signal(signal.SIGCONT)
    await _until(partial(finished, real, user, new))
    await _until(partial(finished, real, user, known))


@pytest.mark.exhaustive
async def test_keycloak_is_killed_and_comes_back_with_other_keys_and_no_service_is_restarted(
    real: System, user: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    known, new = await login(real), await login(real)
    assert ended(await task(real, user, known)) == "finished"
    assert real.keycloak._process

    real.keycloak._process.kill()
    await _until(partial(_said, capsys, "Keycloak has ended by itself"))
    refused = await task(real, user, new)
    assert (refused.status_code, refused.json()["reason"]) == (503, "issuer_unavailable")
    await _until(partial(_refused_for, real, user, known, "revocation_unknown"))

    await real.keycloak.__aenter__()  # the same addresses and passwords; everything else is new

    async def anew() -> bool:  # who signs in before it was noticed that events are lost, signs in once more
        return await finished(real, user, await login(real))

    await _until(anew)
    assert (await task(real, user, new)).status_code in {401, 403}  # its session is gone
    await _until(anew)
    for name in real.registry.services:
        assert first_bad_record(real.journal(name)) == 0
