"""A web console on the real Keycloak: a confidential client by which users sign in, and whose tokens start chains."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from registration.realm import realm as derive
from start.keycloak.server import Keycloak
from testkit.browser import Person
from tests.support.console import CONSOLE, REDIRECT
from tests.support.real import imported
from tests.support.realm import Realm, asked_at, claims, code_in, code_of, redeeming
from tests.support.svid import TrustDomain
from tests.support.system import CHAIN
from zerotrust.registry.model import Registry

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

SCOPE = "task.run agent.invoke tool.read aud:orchestrator"


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


async def test_an_operator_signs_in_a_second_time_for_the_registry(keycloak: Keycloak, console: Realm) -> None:
    """In the same browser: it is one session, and the first sign-in's tokens live on."""
    olga, own = Person("olga", keycloak.passwords["olga"]), console.credential(CONSOLE)
    async with httpx.AsyncClient(
        base_url=console.endpoint, verify=keycloak.tls, trust_env=False, timeout=30
    ) as browser:

        async def signed_in(scope: str, *, asked: bool) -> dict[str, Any]:
            page = await browser.get("/auth", params=asked_at(console.id(CONSOLE), scope) | {"redirect_uri": REDIRECT})
            filled = await olga.fill_in(browser, page)
            assert ("required-action" in filled.headers["Location"]) is asked
            form = redeeming(console.id(CONSOLE), str(code_in(await olga.confirm(browser, filled))))
            return dict((await console.token(**form | {"redirect_uri": REDIRECT}, **own)).json())

        first = await signed_in("task.run aud:orchestrator", asked=False)
        second = await signed_in("registry.admin aud:authority/registry", asked=True)
        form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
        renewed = await console.token(**form, client_id=console.id(CONSOLE), **own)
        both = await signed_in("task.run registry.admin aud:orchestrator aud:authority/registry", asked=True)

    told = [claims(one["access_token"]) for one in (first, second, renewed.json(), both)]
    front, registry = console.id("orchestrator"), console.id("authority/registry")
    assert [one["aud"] for one in told[:3]] == [front, registry, front]
    assert sorted(told[3]["aud"]) == sorted([front, registry])  # in no order of its own; every gate refuses it
    assert [one["scope"] for one in told[:3]] == ["task.run", "registry.admin", "task.run"]
    assert len({one["sid"] for one in told}) == 1


async def test_it_exchanges_nothing(keycloak: Keycloak, console: Realm) -> None:
    answer = await console.token(**await code(keycloak, console), **console.credential(CONSOLE))
    exchanged = await console.exchange(CONSOLE, answer.json()["access_token"], audience="orchestrator", scope=None)

    assert exchanged.status_code == 400
    assert "not enabled for the requested client" in exchanged.json()["error_description"]
