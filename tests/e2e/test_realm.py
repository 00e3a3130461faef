"""The realm on the real Keycloak: the six tokens as drawn, and much of what Keycloak itself refuses.

No client and no service of ours stands in between: a party that was taken over gets no further than shown here.
What needs another realm is in `test_realm_edited.py`.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
import pytest_asyncio
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator  # type: ignore[import-untyped]
from joserfc.jwk import KeySet

from authorities.registry.keycloak.events import RECORDED
from registration.realm.users import USERS
from start.keycloak.server import Keycloak
from testkit.browser import REDIRECT
from tests.support.real import EVERYTHING
from tests.support.realm import SERVER, Realm, chain, claims, dead
from tests.support.revocation_page import ADMIN_ROWS, USER_TYPES
from tests.support.system import CHAIN
from zerotrust.registry.model import Registry
from zerotrust.token_validation import TICK

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


READING = "agent.invoke tool.read inference.run llama.chat"
WRITING = "agent.invoke tool.write inference.run llama.chat"


# --- the six tokens ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Drawn:
    """A token as drawn in the picture of the design."""

    azp: str
    aud: str
    scope: str
    actors: tuple[str, ...]
    life: int
    parent: str | None


STORY = {
    "T0": Drawn("walkthrough", "orchestrator", EVERYTHING, (), 300, None),
    "T1": Drawn("orchestrator", "agent/reader", READING, ("orchestrator",), 120, "T0"),
    "T2": Drawn("agent/reader", "tool/documents", "tool.read", ("agent/reader", "orchestrator"), 60, "T1"),
    "T3": Drawn("agent/reader", "inference", "inference.run llama.chat", ("agent/reader", "orchestrator"), 60, "T1"),
    "T4": Drawn("inference", SERVER, "llama.chat", ("inference", "agent/reader", "orchestrator"), 30, "T3"),
    "T1w": Drawn("orchestrator", "agent/writer", WRITING, ("orchestrator",), 120, "T0"),
    "T2w": Drawn("agent/writer", "tool/documents", "tool.write", ("agent/writer", "orchestrator"), 60, "T1w"),
}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def story(realm: Realm, t0: str) -> dict[str, str]:
    """The tokens by their names."""
    tokens = {"T0": t0}
    for name, drawn in list(STORY.items())[1:]:
        parent = tokens[str(drawn.parent)]
        tokens[name] = await realm.exchanged(drawn.azp, parent, audience=drawn.aud, scope=drawn.scope)
    return tokens


@pytest.fixture
def t1(story: dict[str, str]) -> str:
    return story["T1"]


@pytest.mark.parametrize("name", STORY)
async def test_a_token_is_as_drawn(realm: Realm, story: dict[str, str], name: str) -> None:
    drawn, said = STORY[name], claims(story[name])

    assert said["iss"] == realm.issuer
    assert said["azp"] == (drawn.azp if drawn.azp == "walkthrough" else realm.id(drawn.azp))
    assert said["aud"] == realm.id(drawn.aud)
    assert set(said["scope"].split()) == set(drawn.scope.split())
    assert said.get(CHAIN) == chain(*map(realm.id, drawn.actors))
    assert 0 < said["exp"] - said["iat"] <= drawn.life + TICK
    assert (said["sub"], said["groups"]) == (USERS["alice"][0], ["/engineering"])
    assert said["sid"] == claims(story["T0"])["sid"]
    header = jwt.get_unverified_header(story[name])
    assert (header["typ"], header["alg"]) == ("at+jwt", "RS256")


@pytest.mark.parametrize("name", STORY)
async def test_a_validator_of_other_people_takes_every_token(realm: Realm, story: dict[str, str], name: str) -> None:
    """Authlib's own check of RFC 9068 section 4: signature, `typ` and every required claim, `client_id` among them."""
    key_set = KeySet.import_key_set((await realm.http.get(f"{realm.endpoint}/certs")).json())

    class Validator(JWTBearerTokenValidator):  # type: ignore[misc]
        def get_jwks(self) -> Any:
            return key_set

    validator = Validator(realm.issuer, realm.id(STORY[name].aud))
    validator.validate_token(validator.authenticate_token(story[name]), STORY[name].scope.split(), request=None)
    assert claims(story[name])["client_id"] == claims(story[name])["azp"]


async def test_the_realm_shows_one_key_for_one_algorithm(realm: Realm) -> None:
    [key] = (await realm.http.get(f"{realm.endpoint}/certs")).json()["keys"]

    assert (key["alg"], key["use"]) == ("RS256", "sig")


# --- the end of a token's life ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "granted"),
    [
        ("2", 2),
        ("59", 59),
        ("60", 60),
        *((odd, 60) for odd in ("61", "99999", "0", "-5", "soon", "", "NaN", "Infinity")),
    ],
)
async def test_a_wish_can_only_shorten_a_life(realm: Realm, t1: str, wanted: str, granted: int) -> None:
    answer = await realm.exchange(
        "agent/reader", t1, audience="tool/documents", scope="tool.read", requested_lifetime=wanted
    )

    said = claims(answer.json()["access_token"])
    assert said["exp"] - said["iat"] == granted
    assert granted - answer.json()["expires_in"] in {0, 1}  # the second may have ended in between


# --- wider, elsewhere, not addressed, not genuine ---------------------------------------------------------------------


async def test_without_a_wish_for_scopes_there_are_none(realm: Realm, t0: str) -> None:
    answer = await realm.exchange("orchestrator", t0, audience="agent/reader", scope=None)

    assert claims(answer.json()["access_token"])["scope"] == ""


# --- chains that are none ---------------------------------------------------------------------------------------------


async def test_a_dead_token_is_not_active(realm: Realm, story: dict[str, str]) -> None:
    answer = await realm.exchange("agent/reader", story["T2"], audience="tool/documents", scope="tool.read")

    assert await realm.introspected("tool/documents", answer.json()["access_token"]) == {"active": False}


# --- a server outside -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("party", "of", "scope", "error"),
    [
        ("agent/writer", "T1w", "llama.chat", "invalid_request"),
        ("agent/reader", "T3", "llama.chat", "invalid_request"),  # its own: Keycloak lets it try
        ("inference", "T0", "llama.chat", "access_denied"),
        ("inference", "T1", "llama.chat", "access_denied"),
        ("inference", "T3", "llama.models", "invalid_scope"),
        ("inference", "T3", "inference.run", "invalid_scope"),
        ("inference", "T3", "llama.chat tool.read", "invalid_scope"),
    ],
)
async def test_one_party_gets_a_token_for_a_server_outside_with_the_scopes_that_it_was_handed(
    realm: Realm, story: dict[str, str], party: str, of: str, scope: str, error: str
) -> None:
    answer = await realm.exchange(party, story[of], audience=SERVER, scope=scope)

    assert answer.status_code in (400, 403)
    assert answer.json()["error"] == error


async def test_a_token_without_its_scope_leads_to_no_token_for_a_server_outside(
    realm: Realm, story: dict[str, str]
) -> None:
    token = await realm.exchanged("agent/reader", story["T1"], audience="inference", scope="inference.run")

    answer = await realm.exchange("inference", token, audience=SERVER, scope="llama.chat")

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


@pytest.mark.parametrize("audience", ["orchestrator", "agent/reader", "tool/documents", "inference"])
async def test_who_gets_a_token_for_a_server_outside_gets_one_for_nobody_else(
    realm: Realm, story: dict[str, str], audience: str
) -> None:
    answer = await realm.exchange("inference", story["T3"], audience=audience, scope="llama.chat")

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("party", ["orchestrator", "agent/reader", "agent/writer", "tool/documents", "inference"])
async def test_a_token_for_a_server_outside_is_the_end_of_its_chain(
    realm: Realm, story: dict[str, str], party: str
) -> None:
    assert dead(await realm.exchange(party, story["T4"], audience=SERVER, scope="llama.chat"))
    if party != "inference":
        assert await realm.introspected(party, story["T4"]) == {"active": False}


@pytest.mark.parametrize("secret", [None, "", "a guess"])
async def test_a_server_outside_is_an_audience_and_no_client_that_can_ask_for_anything(
    realm: Realm, story: dict[str, str], secret: str | None
) -> None:
    """Not even with the SVID of a party."""
    known = {"client_id": SERVER} | ({"client_secret": secret} if secret is not None else {})
    for credential in (known, known | realm.credential("inference")):
        for form in (
            {"grant_type": "client_credentials"},
            realm.form("inference", story["T4"], audience=SERVER, scope="llama.chat") | credential,
        ):
            answer = await realm.token(**form | credential)
            assert answer.status_code in (400, 401), answer.text
        answer = await realm.http.post(f"{realm.endpoint}/token/introspect", data={"token": story["T4"], **credential})
        assert answer.status_code in (400, 401), answer.text
    query = {**QUESTION, "client_id": SERVER}
    assert (await realm.http.get(f"{realm.endpoint}/auth", params=query)).status_code in (400, 403)


# --- who is let in ----------------------------------------------------------------------------------------------------


async def test_only_our_clients_are_enabled(keycloak: Keycloak, registry: Registry) -> None:
    async with keycloak.administration() as admin:
        clients = await admin.a_get_clients()

    usable = {client["clientId"] for client in clients if client["enabled"] and not client["bearerOnly"]}
    usable -= {"_system"}  # Keycloak makes it for a sign-out that names no session
    workloads = [*registry.services, "authority/registry", "authority/policy"]
    assert usable == {"walkthrough", "zt", "zt-policy", *map(registry.id, workloads), *registry.operating}


async def test_nobody_registers_a_client(realm: Realm) -> None:
    url = f"{realm.issuer}/clients-registrations/openid-connect"

    answer = await realm.http.post(url, json={"redirect_uris": [REDIRECT], "client_name": "mine"})

    assert answer.status_code in (401, 403)


# --- signing in -------------------------------------------------------------------------------------------------------

CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636 appendix B

QUESTION = {
    "client_id": "walkthrough",
    "response_type": "code",
    "redirect_uri": REDIRECT,
    "scope": "task.run",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


def _error(answer: httpx.Response) -> str:
    """What is refused by redirect, after Keycloak knows whose redirect it is."""
    assert answer.status_code == 302
    where = urlsplit(answer.headers["Location"])
    return parse_qs(where.query or where.fragment)["error"][0]


@pytest.mark.parametrize(
    ("spoilt", "error"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"scope": "offline_access"}, "invalid_scope"),
        ({"scope": "registry.admin"}, "invalid_scope"),
        ({"response_type": "token"}, "unauthorized_client"),
        ({"response_type": "code id_token", "nonce": "n", "scope": "openid"}, "unauthorized_client"),
    ],
)
async def test_a_sign_in_is_refused_before_anybody_is_asked_for_a_password(
    realm: Realm, spoilt: dict[str, str | None], error: str
) -> None:
    query = {name: value for name, value in {**QUESTION, **spoilt}.items() if value is not None}

    assert _error(await realm.http.get(f"{realm.endpoint}/auth", params=query)) == error


@pytest.mark.parametrize(
    "redirect",
    [
        "http://127.0.0.1:8000/callback/x",
        "http://127.0.0.1:8001/callback",
        "http://evil.example/callback",
        f"{REDIRECT}?x=1",
    ],
)
async def test_no_other_address_is_sent_a_code(realm: Realm, redirect: str) -> None:
    answer = await realm.http.get(f"{realm.endpoint}/auth", params={**QUESTION, "redirect_uri": redirect})

    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["auth/device", "ext/ciba/auth"])
async def test_no_other_way_to_sign_in_is_open(realm: Realm, path: str) -> None:
    form = {"client_id": "walkthrough", "scope": "openid", "login_hint": "alice"}

    answer = await realm.http.post(f"{realm.endpoint}/{path}", data=form)

    assert answer.status_code in (400, 401)
    assert answer.json()["error"] in ("unauthorized_client", "invalid_client", "invalid_grant")


# --- asking and looking back ------------------------------------------------------------------------------------------


async def test_introspection_repeats_the_chain_to_the_audience(realm: Realm, story: dict[str, str]) -> None:
    answer = await realm.introspected("tool/documents", story["T2"])

    assert answer["active"] is True
    assert {name: answer[name] for name in (CHAIN, "lineage", "txn", "root", "sub")} == {
        name: claims(story["T2"])[name] for name in (CHAIN, "lineage", "txn", "root", "sub")
    }


@pytest.mark.parametrize("party", ["inference", "agent/writer"])
async def test_introspection_tells_nobody_else_anything(realm: Realm, story: dict[str, str], party: str) -> None:
    assert await realm.introspected(party, story["T2"]) == {"active": False}


async def test_keycloak_keeps_events_of_what_is_read_and_none_of_what_it_refused(
    realm: Realm, keycloak: Keycloak, story: dict[str, str]
) -> None:
    await realm.exchange("agent/writer", story["T1"], audience="tool/documents", scope="tool.read")
    await realm.token(grant_type="client_credentials", client_id="nobody", client_secret="a guess")

    async with keycloak.administration() as admin:
        kinds = {event["type"] for event in await admin.a_get_events({"max": "200"})}

    assert "LOGIN" in kinds
    assert kinds <= set(RECORDED)


async def test_the_page_about_events_knows_every_type_of_this_keycloak(keycloak: Keycloak) -> None:
    async with keycloak.administration("master") as master:
        enums = (await master.a_get_server_info())["enums"]

    assert {kind for kind in enums["eventType"] if not kind.endswith("_ERROR")} == set(USER_TYPES)
    assert set(enums["resourceType"]) == {row[1] for row in ADMIN_ROWS}
    assert set(enums["operationType"]) == {row[0] for row in ADMIN_ROWS}
