"""A web console on the real Keycloak: a confidential client by which users sign in, and whose tokens start chains."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from registration.realm import realm as derive
from start.keycloak.server import Keycloak
from testkit.browser import Person
from tests.support.console import CONSOLE, REDIRECT
from tests.support.real import imported
from tests.support.realm import Realm, asked_at, claims, code_of, redeeming
from tests.support.svid import TrustDomain
from tests.support.system import CHAIN
from zerotrust.registry.model import Registry

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

SCOPE = "task.run agent.invoke tool.read"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def console(
    keycloak: Keycloak, trust_domain: TrustDomain, http: httpx.AsyncClient, registry: Registry
) -> AsyncIterator[Realm]:
    async with imported(keycloak, http, trust_domain, derive(registry) | {"realm": "console"}) as realm:
        yield realm


async def code(keycloak: Keycloak, realm: Realm) -> dict[str, str]:
    """The form that redeems a code of alice's sign-in at the console."""
    asked = asked_at(realm.id(CONSOLE), SCOPE) | {"redirect_uri": REDIRECT}
    found = await code_of(Person("alice", keycloak.passwords["alice"]), realm, keycloak.tls, asked)
    assert found
    return redeeming(realm.id(CONSOLE), found) | {"redirect_uri": REDIRECT}


async def test_its_tokens_start_a_chain_that_says_so(keycloak: Keycloak, console: Realm) -> None:
    answer = await console.token(**await code(keycloak, console), **console.credential(CONSOLE))
    assert answer.status_code == 200, answer.text
    t0 = answer.json()["access_token"]
    t1 = claims(await console.exchanged("orchestrator", t0, audience="agent/reader", scope="agent.invoke tool.read"))

    first, id_ = claims(t0), console.id(CONSOLE)
    assert (first["azp"], first["client_id"], first["aud"]) == (id_, id_, console.id("orchestrator"))
    assert not first.keys() & {CHAIN, "lineage", "root"}
    assert t1[CHAIN] == {"sub": console.id("orchestrator")}
    assert (t1["root"]["azp"], t1["lineage"]) == (id_, [first["jti"]])


@pytest.mark.parametrize("party", [None, "orchestrator"])
async def test_nobody_else_redeems_its_codes(keycloak: Keycloak, console: Realm, party: str | None) -> None:
    answer = await console.token(**await code(keycloak, console), **(console.credential(party) if party else {}))

    assert answer.status_code in (400, 401)
    assert "access_token" not in answer.json()


async def test_it_exchanges_nothing(keycloak: Keycloak, console: Realm) -> None:
    answer = await console.token(**await code(keycloak, console), **console.credential(CONSOLE))
    exchanged = await console.exchange(CONSOLE, answer.json()["access_token"], audience="orchestrator", scope=None)

    assert exchanged.status_code == 400
    assert "not enabled for the requested client" in exchanged.json()["error_description"]
