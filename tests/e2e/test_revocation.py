"""Revocation on the real system: by an operator with `zt`, by changed code, and of a compromised party."""

import asyncio
import re
import time
from collections.abc import Callable

import pytest

from demo.impostors import rogues
from demo.intruder import Intruder, outcome
from demo.revocation import PLANTED, revocations, sign_in_olga
from demo.ways import TASK
from start.system import ROOT, System
from tests.support.ca import REGISTRY_PARTY
from tests.support.real import Typed
from tests.support.real_tasks import task
from tests.support.records import records
from zt.errors import RefusedError
from zt.people.login import Login
from zt.people.registry_client import RegistryClient

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


async def run(intruder: Intruder, alice: Login) -> dict[str, str]:
    """What comes of a task, or of the attempt to start one."""
    answer = await intruder.send(None, "orchestrator", "/tasks", None, auth=alice.auth, json=TASK)
    result: dict[str, str] = answer.json().get("result", {"event": outcome(answer)})
    return result


async def finished_again(intruder: Intruder, alice: Login) -> bool:
    """Whether a task is finished at last: parties that were away for long have to hear from the registry first."""
    end = time.monotonic() + 60
    while (event := (await run(intruder, alice))["event"]) != "finished" and time.monotonic() < end:
        await asyncio.sleep(0.1)
    return event == "finished"


# --- an operator ------------------------------------------------------------------------------------------------------


async def test_what_the_registry_refuses_an_operator_is_on_record_where_the_operator_is_told(
    system: System, typed: Typed
) -> None:
    done = await asyncio.to_thread(typed, "revoke", "user", "nobody")

    assert done.returncode == 1
    refusal = r".*\(400 unknown_subject\).*  On record as trace (\w+) in run/(\S+)\."
    told = re.search(f"^{refusal}$", done.stderr, re.MULTILINE)
    assert told, done.stderr
    assert system.journal(REGISTRY_PARTY) == system.folder / told[2]
    found = [record for record in records(system.journal(REGISTRY_PARTY)) if record.get("trace_id") == told[1]]
    assert found[-1]["reason"] == "unknown_subject"


async def test_a_registry_whose_files_change_is_drifted_until_an_operator_has_it_read_them_anew(
    system: System, intruder: Intruder, zt: Callable[..., str]
) -> None:
    """One line more, which says nothing; then as it was.

    While it is drifted, the registry gets no identity to show to Keycloak.  So if its token there ends meanwhile, every
    party refuses everything until the registry has read Keycloak's events again.
    """
    file = ROOT / "registry.yaml"
    before = file.read_bytes()
    async with system.user() as http:
        try:
            for content in (before + b"# one line more\n", before):
                olga = await sign_in_olga(system, http)
                file.write_bytes(content)
                await until(olga, "drifted")
                with pytest.raises(RefusedError, match="drifted"):
                    await olga.reinstate(REGISTRY_PARTY)
                assert await asyncio.to_thread(zt, "reload") == "Reloaded; nothing has changed.\n"
                await until(olga, "suspended")
                await olga.reinstate(REGISTRY_PARTY)
        finally:
            file.write_bytes(before)
            system.authority._launcher.lock = system.lock  # what a lab launches besides is in no file
    assert await finished_again(intruder, await intruder.sign_in("alice"))


async def until(olga: RegistryClient, state: str) -> None:
    async with asyncio.timeout(30):
        while (await olga.party(REGISTRY_PARTY))["state"] != state:
            await asyncio.sleep(0.02)


# --- code that changes, and agents that are none ----------------------------------------------------------------------


async def test_whoever_is_suspended_or_tampered_with_is_refused_until_it_is_as_it_was(system: System) -> None:
    tried = [attempt async for attempt in revocations(system)]

    assert len(tried) == 6
    assert [attempt for attempt in tried if not attempt.as_expected] == []
    assert not PLANTED.exists()


async def test_a_rogue_in_an_agents_place_gets_no_token(system: System) -> None:
    tried = [attempt async for attempt in rogues(system)]

    assert len(tried) == 2
    assert [attempt for attempt in tried if not attempt.as_expected] == []
    assert (await task(system, "alice"))["result"]["event"] == "finished"
