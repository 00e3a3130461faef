"""What the project relies on at Keycloak 26.7, and what has to change with it: why it is pinned."""

import httpx
import pytest

from lab.realm import BINDING, _script, weaken
from registration.realm import realm as derive
from start.keycloak.server import Keycloak
from testkit.browser import Person, sign_in
from tests.support.real import EVERYTHING, imported
from tests.support.realm import Realm, asked_at, claims, code_of, dead, redeeming
from tests.support.svid import TrustDomain
from zerotrust.registry.model import Registry
from zt.people.key import Key
from zt.people.login import Client, Login, sign_out

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

WALL = (
    "From Keycloak 26.8 on, standard token exchange refuses every subject token that carries `act`, so no agent can "
    "pass on what it was given: stay on 26.7, or set `chain_claim: zt_act` in registry.yaml."
)


async def test_keycloak_is_one_that_exchanges_tokens_with_a_chain(keycloak: Keycloak) -> None:
    async with keycloak.administration("master") as admin:
        version = (await admin.a_get_server_info())["systemInfo"]["version"]

    assert version.startswith("26.7."), f"This is {version}. {WALL}"


# --- tokens that are bound (RFC 9449) ---------------------------------------------------------------------------------


async def signed_in(realm: Realm, keycloak: Keycloak) -> Login:
    password = keycloak.passwords["alice"]
    return await sign_in(realm.issuer, "walkthrough", "alice", password, EVERYTHING, verify=keycloak.tls)


async def exchanged(realm: Realm, token: str) -> httpx.Response:
    return await realm.exchange("orchestrator", token, audience="agent/reader", scope="agent.invoke tool.read")


async def refreshed(realm: Realm, login: Login, key: Key | None) -> httpx.Response:
    form = {"grant_type": "refresh_token", "client_id": "walkthrough", "refresh_token": login.refresh_token}
    return await realm.token(key, **form)


async def test_a_token_with_cnf_is_not_exchanged(
    keycloak: Keycloak, http: httpx.AsyncClient, trust_domain: TrustDomain, registry: Registry
) -> None:
    """The day that it is, the scope `binding` can go, and nothing else has to change."""
    derived = derive(registry) | {"realm": "native"}
    (client,) = (one for one in derived["clients"] if one["clientId"] == "walkthrough")
    client["defaultClientScopes"].remove("binding")
    async with imported(keycloak, http, trust_domain, derived) as realm:
        login = await signed_in(realm, keycloak)
        answer = await exchanged(realm, login.access_token)

    assert claims(login.access_token)["cnf"]["jkt"] == login.key.thumbprint
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_a_token_whose_key_has_another_name_is_exchanged_and_introspection_tells_the_key(
    realm: Realm, keycloak: Keycloak
) -> None:
    login = await signed_in(realm, keycloak)
    said, bound = claims(login.access_token), {"jkt": login.key.thumbprint}

    assert (said["zt_cnf"], "cnf" in said) == (bound, False)
    assert (await realm.introspected("orchestrator", login.access_token))["cnf"] == bound
    t1 = claims((await exchanged(realm, login.access_token)).json()["access_token"])
    assert not t1.keys() & {"cnf", "zt_cnf"}  # it is bound to the certificate of `azp`
    again = await refreshed(realm, login, login.key)
    assert (again.json()["token_type"], claims(again.json()["access_token"])["zt_cnf"]) == ("DPoP", bound)


async def test_a_refresh_token_of_a_bound_token_ends_no_session_and_the_id_token_does(
    realm: Realm, keycloak: Keycloak
) -> None:
    """Keycloak's issue #50306: where it ends a session, it does not look for the proof that it asks for."""
    login, form = await signed_in(realm, keycloak), {"client_id": "walkthrough"}
    url = f"{realm.endpoint}/logout"
    proof = {"dpop": login.key.prove("POST", url)}
    answer = await realm.http.post(url, data=form | {"refresh_token": login.refresh_token}, headers=proof)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert not dead(await exchanged(realm, login.access_token))

    await sign_out(Client(realm.issuer, "walkthrough", "", keycloak.tls), login)

    assert dead(await exchanged(realm, login.access_token))
    assert (await refreshed(realm, login, login.key)).status_code == 400


async def test_a_refresh_token_that_is_used_twice_ends_the_sign_in_for_both(realm: Realm, keycloak: Keycloak) -> None:
    """One of the two has stolen it, with its key."""
    at = Client(realm.issuer, "zt", "registry.admin", keycloak.tls)
    login = await Person("olga", keycloak.passwords["olga"]).sign_in(at)
    form = {"grant_type": "refresh_token", "client_id": "zt"}

    answers = [await realm.token(login.key, **form, refresh_token=login.refresh_token) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 400]
    newer = answers[0].json()["refresh_token"]
    assert (await realm.token(login.key, **form, refresh_token=newer)).status_code == 400


@pytest.mark.parametrize(
    ("take", "put"),
    [
        ("exports = claim();", 'throw "at the start";'),
        ("token.setConfirmation(null);", 'token.setConfirmation(null); throw "in the middle";'),
        ("return confirmation;", 'throw "at the end";'),
        ("token.setConfirmation(null);", ""),
        ('keycloakSession.setAttribute("dpop-binding-only-refresh-token", java.lang.Boolean.TRUE);', ""),
    ],
    ids=["throws first", "throws in the middle", "throws last", "as if before", "as if after"],
)
async def test_no_token_lives_that_is_bound_to_no_key(
    keycloak: Keycloak, http: httpx.AsyncClient, trust_domain: TrustDomain, registry: Registry, take: str, put: str
) -> None:
    """Neither where binding.js throws nor where Keycloak's own mapper runs earlier or later."""
    derived = weaken(derive(registry), _script(take, put, where="a fault", script=BINDING)) | {"realm": "faulty"}
    person, asked, key = Person("alice", keycloak.passwords["alice"]), asked_at("walkthrough", EVERYTHING), Key()
    async with imported(keycloak, http, trust_domain, derived) as realm:
        code = await code_of(person, realm, keycloak.tls, asked)
        answer = await realm.token(key, **redeeming("walkthrough", str(code)))

    said = claims(answer.json()["access_token"])
    assert dead(answer) or key.thumbprint in {said.get(name, {}).get("jkt") for name in ("cnf", "zt_cnf")}
