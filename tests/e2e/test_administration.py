"""The registry's own hand at the real Keycloak: what it can do there, and what its token is good for elsewhere."""

import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from authorities.registry.keycloak.admin import Administration
from registration.realm.users import USERS
from start.keycloak.server import Keycloak
from tests.support.pki import CA
from tests.support.realm import SERVER, Realm, claims, dead
from tests.support.system import CHAIN
from zerotrust.registry.model import Registry

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

REGISTRY = "authority/registry"


class Assertions:
    """The JWT-SVIDs of one party."""

    def __init__(self, party: str, assertion_for: Callable[[str], str]) -> None:
        self.party, self.asked, self._assertion_for = party, 0, assertion_for

    async def assertion(self, audience: str) -> str:
        assert audience.endswith("/realms/agents")
        self.asked += 1
        return self._assertion_for(self.party)


def client(verify: ssl.SSLContext) -> httpx.AsyncClient:
    return httpx.AsyncClient(verify=verify, trust_env=False, timeout=10)


@pytest.fixture
def assertions(assertion_for: Callable[[str], str]) -> Assertions:
    return Assertions(REGISTRY, assertion_for)


@pytest.fixture
def verify_context(keycloak: Keycloak, own_ca: CA, tmp_path: Path) -> ssl.SSLContext:
    """As a launched process has it: the CA, and its own certificate."""
    return own_ca.workload(tmp_path, "spiffe://agents.example/authority/registry")


@pytest_asyncio.fixture(loop_scope="session")
async def administration(
    keycloak: Keycloak, assertions: Assertions, verify_context: ssl.SSLContext
) -> AsyncIterator[Administration]:
    administration = Administration(keycloak.issuer, assertions, http=client(verify_context))
    yield administration
    await administration.aclose()


async def own_token(realm: Realm, party: str = REGISTRY) -> httpx.Response:
    return await realm.token(grant_type="client_credentials", **realm.credential(party))


# --- what it does -----------------------------------------------------------------------------------------------------


async def test_a_disabled_party_exchanges_nothing_and_an_enabled_one_does_again(
    administration: Administration, realm: Realm, t0: str
) -> None:
    reader = realm.id("agent/reader")
    t1 = await realm.exchanged("orchestrator", t0, audience="agent/reader", scope="agent.invoke tool.read")

    await administration.disable_client(reader)
    try:
        refused = await realm.exchange("agent/reader", t1, audience="tool/documents", scope="tool.read")
    finally:
        await administration.enable_client(reader)
    again = await realm.exchange("agent/reader", t1, audience="tool/documents", scope="tool.read")

    assert refused.status_code == 401
    assert refused.json()["error"] == "invalid_client"
    assert again.status_code == 200
    assert not dead(again)


async def test_no_token_is_issued_for_a_server_outside_that_is_suspended(
    administration: Administration, realm: Realm, t0: str
) -> None:
    t1 = await realm.exchanged("orchestrator", t0, audience="agent/reader", scope="inference.run llama.chat")
    t3 = await realm.exchanged("agent/reader", t1, audience="inference", scope="inference.run llama.chat")

    await administration.disable_client(SERVER)
    try:
        refused = await realm.exchange("inference", t3, audience=SERVER, scope="llama.chat")
    finally:
        await administration.enable_client(SERVER)
    again = await realm.exchange("inference", t3, audience=SERVER, scope="llama.chat")

    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client")
    assert not dead(again)


async def test_nothing_else_of_a_client_changes_by_that(
    administration: Administration, realm: Realm, keycloak: Keycloak
) -> None:
    writer = realm.id("agent/writer")

    async with keycloak.administration() as admin:
        internal = str(await admin.a_get_client_id(writer))
        before = await admin.a_get_client(internal)
        await administration.disable_client(writer)
        between = await admin.a_get_client(internal)
        await administration.enable_client(writer)
        after = await admin.a_get_client(internal)

    for found in (before, between, after):  # in whatever order Keycloak tells them
        found["defaultClientScopes"].sort()
        found["optionalClientScopes"].sort()
    assert between["enabled"] is False
    assert {**between, "enabled": True} == before == after


async def test_its_token_is_kept_and_renewed_before_its_end(
    administration: Administration, assertions: Assertions
) -> None:
    async with administration.asking() as admin:
        for _ in range(3):
            await admin.a_get_events({"max": "1"})
        assert assertions.asked == 1
        connection = admin.connection
        assert connection.token
        connection.token = {**connection.token, "expires_in": 0}  # what is left of it
        await admin.a_get_events({"max": "1"})

    assert assertions.asked == 2


async def test_a_token_that_keycloak_no_longer_takes_is_replaced(
    administration: Administration, assertions: Assertions
) -> None:
    async with administration.asking() as admin:
        admin.connection.token = {"access_token": "of.yesterday.", "expires_in": 60}
        await admin.a_get_events({"max": "1"})

    assert assertions.asked == 1


# --- what it cannot do ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("", id="the realm itself"),
        pytest.param("/identity-provider/instances/spiffe", id="whose keys sign identities"),
        pytest.param("/authentication/flows", id="how people sign in"),
        pytest.param("/keys", id="the signing keys"),
    ],
)
async def test_it_has_no_other_power_in_the_realm(realm: Realm, keycloak: Keycloak, path: str) -> None:
    token = (await own_token(realm)).json()["access_token"]
    headers = {"authorization": f"Bearer {token}"}
    base = keycloak.issuer.replace("/realms/", "/admin/realms/")

    changed = await realm.http.put(base, json={"sslRequired": "none"}, headers=headers)
    read = await realm.http.get(f"{base}{path}", headers=headers)

    assert changed.status_code == 403
    # Whoever has some power in a realm reads its name; more is not told.
    assert read.status_code == 403 or (path == "" and "sslRequired" not in read.json())


async def test_it_has_no_power_in_another_realm(realm: Realm, keycloak: Keycloak) -> None:
    headers = {"authorization": f"Bearer {(await own_token(realm)).json()['access_token']}"}

    answer = await realm.http.get(
        f"{keycloak.issuer.removesuffix('agents').replace('/realms/', '/admin/realms/')}master/clients", headers=headers
    )

    assert answer.status_code in (401, 403)


# --- what its token is good for elsewhere -----------------------------------------------------------------------------


async def test_its_own_token_names_no_audience_no_user_and_nobody_who_acts(realm: Realm, registry: Registry) -> None:
    token = claims((await own_token(realm)).json()["access_token"])

    assert token["azp"] == registry.id(REGISTRY)
    assert token["sub"] not in {identifier for identifier, _ in USERS.values()}
    assert token["exp"] - token["iat"] == registry.freshness.svid
    assert token["scope"] == ""
    named = {"aud", CHAIN, "lineage", "txn", "root", "sid", "groups", "realm_access", "resource_access"}
    assert not named & token.keys()
    assert token["azp"] not in registry.initiating_clients


async def test_nobody_exchanges_it(realm: Realm) -> None:
    token = (await own_token(realm)).json()["access_token"]

    for party, audience in ((REGISTRY, "orchestrator"), ("orchestrator", "agent/reader")):
        assert dead(await realm.exchange(party, token, audience=audience, scope="agent.invoke"))
