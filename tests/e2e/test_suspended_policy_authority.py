"""A start while the policy authority is suspended, in real processes: it is reinstated, and nothing is restarted.

Keycloak has no part in it: the tests' issuer is the one that these processes know.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from authorities.registry.state import Entry, State
from demo.intruder import outcome, tool_call
from registration.run_lock import RunError
from start.earlier_runs import data_folder, forget
from start.system import System
from tests.support.ca import REGISTRY_PARTY
from tests.support.issuer import Issuer
from tests.support.policies import keep
from tests.support.processes import launched, svid_of
from tests.support.waiting import until
from zerotrust.hardening.pools import Connections
from zerotrust.registry.model import Registry
from zt.people.key import BoundToken

pytestmark = pytest.mark.e2e

READER, DOCUMENTS = "agent/reader", "tool/documents"


@pytest.fixture
async def again(tmp_path: Path, registry: Registry, issuer: Issuer) -> AsyncIterator[System]:
    """What an earlier run has left: policies whose life has ended, and their authority suspended."""
    keep(data_folder(tmp_path, REGISTRY_PARTY))
    await suspend(registry, tmp_path)
    async with launched(tmp_path, registry, issuer, [DOCUMENTS], waiting=[registry.authorities.policy]) as system:
        yield system


async def suspend(registry: Registry, folder: Path) -> None:
    """Suspend the policy authority, as attestation did in an earlier run."""
    (kept := data_folder(folder, REGISTRY_PARTY)).mkdir(parents=True, exist_ok=True)
    state = State(kept / "revocations.db")
    async with state.open():
        party = registry.id(registry.authorities.policy)
        await state.change([Entry(("party", party), "drift: authorities/policy/planted.py")])


async def test_after_it_is_reinstated_everything_goes_on_by_itself(again: System, issuer: Issuer) -> None:
    party, iss = again.registry.authorities.policy, again.keycloak.issuer
    token = issuer.delegated("orchestrator", READER, iss=iss, aud=again.registry.id(DOCUMENTS), scope="tool.read")
    call = tool_call("read", id="ENG-101")
    headers = call["headers"] | {"authorization": f"Bearer {token}"}
    operators: dict[str, Any] = {
        "azp": "zt",
        "aud": again.registry.id(REGISTRY_PARTY),
        "groups": ["/operators"],
        "sub": "olivia",
    }
    olivia = BoundToken(issuer.user_key, issuer.token(iss=iss, scope="registry.admin", **operators))
    async with (
        httpx.AsyncClient(transport=Connections(again.directory, svid_of(again, READER)), timeout=30) as reader,
        again.user() as operator,
    ):

        async def answered() -> str:
            return outcome(await reader.post(f"{again.address(DOCUMENTS)}/mcp", json=call["json"], headers=headers))

        parties = f"{again.address(REGISTRY_PARTY)}/parties"
        for _ in range(3):
            assert await answered() == "503 policy_unknown"
        shown = (await operator.get(f"{parties}/{party}", auth=olivia)).json()
        assert (shown["state"], shown["cause"]) == ("suspended", "drift: authorities/policy/planted.py")

        reinstated = await operator.post(f"{parties}/{party}/reinstate", auth=olivia)
        assert reinstated.status_code == 200, reinstated.text
        async with asyncio.timeout(60):
            while (now := await answered()) != "200 ok":
                assert now == "503 policy_unknown"
                await asyncio.sleep(0.1)
    await until(lambda: f"party reinstate {party}" in again.log(DOCUMENTS).read_text())


async def test_where_there_were_no_policies_yet_nobody_could_so_the_start_fails_and_says_what_to_do(
    tmp_path: Path, registry: Registry, issuer: Issuer
) -> None:
    await suspend(registry, tmp_path)

    with pytest.raises(RunError) as failed:
        async with launched(tmp_path, registry, issuer, []):
            pass

    assert "authority/registry does not start" in str(failed.value)
    assert '"event": "authority/policy is suspended (drift: authorities/policy/planted.py)' in str(failed.value)
    assert "`make fresh`" in str(failed.value)

    forget(tmp_path)  # which is what `make fresh` does
    async with launched(tmp_path, registry, issuer, []) as system:
        assert "suspended" not in system.log(REGISTRY_PARTY).read_text()
