"""Second lines of defence: what still holds where an administrator opens something, or the registry has other parties.

These tests edit, so they work on realms of their own, derived by the same function from another registry.
"""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from start.keycloak.server import Keycloak
from testkit.browser import sign_in
from tests.support.real import AGENT_SCOPE as SCOPE
from tests.support.realm import Realm, claims, dead
from tests.support.system import OTHER_CHAIN

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture
async def root(keycloak: Keycloak, long: Realm) -> str:
    """A fresh token of alice in the long realm."""
    return (
        await sign_in(long.issuer, "walkthrough", "alice", keycloak.passwords["alice"], SCOPE, verify=keycloak.tls)
    ).access_token


# --- where an administrator opens something ---------------------------------------------------------------------------


@pytest_asyncio.fixture
async def change(keycloak: Keycloak, long: Realm) -> AsyncIterator[Callable[..., Any]]:
    """Changes clients of the long realm, and puts them back."""
    before: list[tuple[str, dict[str, Any]]] = []

    async def change(name: str, **changes: Any) -> None:
        async with keycloak.administration("long") as admin:
            internal = str(await admin.a_get_client_id(name))
            client = await admin.a_get_client(internal)
            before.append((internal, client))
            await admin.a_update_client(internal, {**client, **changes})

    yield change
    async with keycloak.administration("long") as admin:
        for internal, client in reversed(before):
            await admin.a_update_client(internal, client)


async def test_the_password_grant_stays_closed_when_a_client_opens_it(
    keycloak: Keycloak, long: Realm, change: Callable[..., Any]
) -> None:
    await change("walkthrough", directAccessGrantsEnabled=True)
    form = {"client_id": "walkthrough", "username": "alice", "password": keycloak.passwords["alice"]}

    answer = await long.token(grant_type="password", **form)

    assert answer.status_code == 400
    assert "access_token" not in answer.json()
    async with keycloak.administration("long") as admin:
        assert not (await admin.a_get_client(str(await admin.a_get_client_id("walkthrough"))))[
            "directAccessGrantsEnabled"
        ]


ROOT = {"azp": "walkthrough", "iat": 1}


def _hard_coded(claim: str, value: object) -> dict[str, Any]:
    config = {
        "claim.name": claim,
        "claim.value": json.dumps(value),
        "jsonType.label": "JSON",
        "access.token.claim": "true",
    }
    return {
        "name": f"false {claim}",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-hardcoded-claim-mapper",
        "config": config,
    }


@pytest.mark.parametrize(
    "claimed",
    [
        {},
        {OTHER_CHAIN: {"sub": "spiffe://agents.example/agent/z"}, "lineage": ["made up"], "root": ROOT},
        {OTHER_CHAIN: {"sub": "spiffe://agents.example/agent/b"}, "root": ROOT},
        {OTHER_CHAIN: {"sub": "spiffe://agents.example/agent/b"}, "lineage": ["made", "up"], "root": ROOT},
        {OTHER_CHAIN: {"sub": "spiffe://agents.example/agent/b"}, "lineage": ["made up"]},
    ],
    ids=["no chain", "somebody else's chain", "no lineage", "a lineage of another length", "no root"],
)
async def test_what_a_workload_holds_without_an_exchange_starts_no_chain(
    keycloak: Keycloak, long: Realm, change: Callable[..., Any], claimed: dict[str, Any]
) -> None:
    name = long.id("agent/b")
    await change(name, serviceAccountsEnabled=True)
    async with keycloak.administration("long") as admin:
        internal = str(await admin.a_get_client_id(name))
        for claim, value in claimed.items():
            await admin.a_add_mapper_to_client(internal, _hard_coded(claim, value))
    try:
        own = (await long.token(grant_type="client_credentials", **long.credential("agent/b"))).json()["access_token"]
        assert {claim: claims(own).get(claim) for claim in claimed} == claimed

        answer = await long.exchange("agent/c", own, audience="agent/d", scope=None)
    finally:
        async with keycloak.administration("long") as admin:
            for mapper in await admin.a_get_mappers_from_client(internal):
                await admin.a_remove_client_mapper(internal, mapper["id"])

    assert answer.status_code == 200
    assert dead(answer)


async def test_an_invented_subject_token_makes_no_chain_in_another_grant(
    long: Realm, root: str, change: Callable[..., Any]
) -> None:
    await change(long.id("agent/a"), serviceAccountsEnabled=True)

    answer = await long.token(grant_type="client_credentials", subject_token=root, **long.credential("agent/a"))

    assert answer.status_code == 200
    assert not {OTHER_CHAIN, "lineage", "txn", "root"} & claims(answer.json()["access_token"]).keys()
