"""The walkthrough's story and its three boundaries through a real Llama Stack server, on the real system.

The server is enrolled while everything runs, and forgotten afterwards, so that all other tests meet the script.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio

from demo.checks import ALLOWED, Checks
from demo.llama_stack import attempts_at_the_server
from demo.revocation import sign_in_olga
from demo.story import tell_story
from start.llama_stack.ogx import NAME
from start.llama_stack.server import SCRIPTED, LlamaStack, enrol, prepare, serving
from start.program import console
from start.system import System
from tests.support.model_server import needs_ogx
from zerotrust.audit.event_types import Exchange
from zt.people.key import BoundToken

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]
needs_ogx()


async def known(system: System, server: LlamaStack | None) -> None:
    """Enrol the server's key, or none, and wait until inference has heard of it."""
    registry = system.registry.authorities.registry
    enrol(system.data(registry), server)
    async with system.user() as http:
        olga = await sign_in_olga(system, http)
        await olga.ask("POST", "/reload")
        alice = (await system.sign_in("alice")).auth
        async with asyncio.timeout(120):
            while not await _answers_so(http, f"{system.address('orchestrator')}/models", alice, server):
                await asyncio.sleep(0.05)


async def _answers_so(http: httpx.AsyncClient, url: str, auth: BoundToken, server: LlamaStack | None) -> bool:
    answer = await http.get(url, auth=auth)
    return answer.is_success and (answer.json()["models"] == ["scripted"]) == (server is None)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def behind(system: System) -> AsyncIterator[System]:
    """The system, with the server behind inference."""
    origin, keycloak = system.deployment.outside[NAME], system.keycloak
    folder = system.folder / "llama-stack"
    server = prepare(folder, origin, SCRIPTED, keycloak.issuer, system.authority.ca_file.absolute())
    async with serving(server, print):
        await known(system, server)
        try:
            yield replace(system, llama_stack=server)
        finally:
            await known(system, None)


async def test_the_task_is_the_same_and_the_poisoned_report_gets_nothing(
    behind: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_width", 80)
    checks = Checks()
    with console.capture() as told:
        await tell_story(behind, checks)

    assert checks.failures == [], told.get()
    assert len(checks.made) == 4
    said = " ".join(told.get().split())
    assert "inference → llamastack llama.chat 30 s at most" in said
    assert "inference → llamastack llama.models 30 s at most" in said
    assert "These are bearer tokens" in said
    assert [line for line in told.get().splitlines() if len(line) > 80] == []
    assert "the model `provider/scripted` answered, behind a Llama Stack server: a script" in said
    events = [event for event in behind.events("inference") if event.trace and event.trace.trace_id == checks.trace_id]
    exchanged = [event.data for event in events if isinstance(event.data, Exchange)]
    assert {data.audience for data in exchanged} == {NAME}
    assert {data.scopes for data in exchanged} <= {("llama.chat",), ("llama.models",)}
    assert all(data.lifetime is None or data.lifetime <= 30_000_000 for data in exchanged)


async def test_a_token_opens_one_api_at_either_door(behind: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_width", 80)
    assert behind.llama_stack
    checks = Checks()
    with console.capture() as told:
        await checks.make_all(attempts_at_the_server(behind, behind.llama_stack))

    assert checks.failures == [], told.get()
    assert [line for line in told.get().splitlines() if len(line) > 80] == []
    assert sum(attempt.control == ALLOWED for attempt in checks.made) == 2
