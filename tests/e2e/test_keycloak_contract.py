"""The wall ahead: why the project is pinned to Keycloak 26.7."""

import pytest

from start.keycloak.server import Keycloak
from tests.support.realm import Realm, chain, claims
from tests.support.system import CHAIN

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

WALL = (
    "From Keycloak 26.8 on, standard token exchange refuses every subject token that carries `act`, so no agent can "
    "pass on what it was given: stay on 26.7, or set `chain_claim: zt_act` in registry.yaml."
)


async def test_keycloak_is_one_that_exchanges_tokens_with_a_chain(keycloak: Keycloak) -> None:
    async with keycloak.administration("master") as admin:
        version = (await admin.a_get_server_info())["systemInfo"]["version"]

    assert version.startswith("26.7."), f"This is {version}. {WALL}"


async def test_a_token_that_carries_act_is_exchanged(realm: Realm, t0: str) -> None:
    t1 = await realm.exchanged("orchestrator", t0, audience="agent/reader", scope="agent.invoke tool.read")
    assert claims(t1)[CHAIN] == chain(realm.id("orchestrator"))

    answer = await realm.exchange("agent/reader", t1, audience="tool/documents", scope="tool.read")

    assert answer.status_code == 200, f"{answer.text}. {WALL}"
