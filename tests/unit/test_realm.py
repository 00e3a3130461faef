"""The realm as derived: nothing secret in it, every grant closed that nobody needs."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from authorities.registry.keycloak.events import RECORDED
from registration.realm import as_text, realm
from registration.realm.script import SCRIPTS, build_jar
from tests.support.ca import REGISTRY_PARTY
from tests.support.system import registry as committed
from zerotrust.registry.model import Registry
from zerotrust.revocation_list import RETENTION, SESSION_KEPT, SESSION_LIFE

Json = dict[str, Any]
REGISTRY = committed()


@pytest.fixture(scope="module")
def derived(registry: Registry) -> Json:
    return realm(registry)


@pytest.fixture(scope="module")
def clients(derived: Json) -> dict[str, Json]:
    return {client["clientId"]: client for client in derived["clients"] if client["enabled"]}


def test_the_same_registry_gives_the_same_bytes_and_another_one_others(registry: Registry) -> None:
    assert as_text(registry) == as_text(Registry.model_validate(registry.model_dump()))
    reader = registry.parties["agent/reader"].model_copy(update={"max_ttl": 30})
    changed = registry.model_copy(update={"parties": {**registry.parties, "agent/reader": reader}})
    assert as_text(changed) != as_text(registry)


def test_no_secret_and_no_password_is_in_it(registry: Registry) -> None:
    assert not re.search(
        r'"(?:secret|client_?secret|privateKey|secretData|credentials)"', as_text(registry), re.IGNORECASE
    )


def test_the_parties_that_hold_tokens_are_clients_and_nobody_else_is(
    registry: Registry, clients: dict[str, Json]
) -> None:
    authorities = REGISTRY_PARTY, "authority/policy"
    holders = [*registry.without_certificate, *registry.services, *authorities, *registry.outside]

    assert set(clients) == {*map(registry.id, holders)}


def test_every_grant_is_closed_that_nobody_needs(clients: dict[str, Json]) -> None:
    for name, client in clients.items():
        assert client["standardFlowEnabled"] is (name in ("walkthrough", "zt", "zt-policy"))
        assert not client["implicitFlowEnabled"]
        assert not client["directAccessGrantsEnabled"]
        assert client["serviceAccountsEnabled"] is (name == "spiffe://agents.example/authority/registry")
        assert not client["fullScopeAllowed"]


def test_who_is_no_login_client_authenticates_with_its_attested_identity(
    registry: Registry, clients: dict[str, Json]
) -> None:
    for name, client in clients.items():
        if not client.get("publicClient"):
            assert client["clientAuthenticatorType"] == "federated-jwt"
            assert client["attributes"].get("jwt.credential.sub") == (None if name in registry.outside else name)


def test_the_client_of_a_server_outside_is_an_audience_and_nothing_else(
    registry: Registry, clients: dict[str, Json]
) -> None:
    client = clients["llamastack"]

    assert client["enabled"]
    assert client["bearerOnly"]
    assert client["defaultClientScopes"] == client["optionalClientScopes"] == []
    others = registry.model_copy(update={"outside": {}})
    assert [one for one in realm(others)["clients"] if one not in realm(registry)["clients"]] == []
    assert [one for one in realm(registry)["clients"] if one not in realm(others)["clients"]] == [client]


def test_a_login_clients_token_names_the_client_that_it_was_issued_to(clients: dict[str, Json]) -> None:
    """RFC 9068 section 2.2; Keycloak writes only `azp` by itself.  After an exchange, `delegation.js` does."""
    for name, client in clients.items():
        if client.get("publicClient"):
            mapper = client["protocolMappers"][0]
            config = mapper["config"]
            assert mapper["protocolMapper"] == "oidc-hardcoded-claim-mapper"
            assert (config["claim.name"], config["claim.value"]) == ("client_id", name)
            assert config["access.token.claim"] == "true"


URL = "https://registry.authority.agents.example/backchannel-logout"
SIGN_IN, OPERATORS = ["walkthrough", "zt", "zt-policy"], ["zt", "zt-policy"]
SOME: dict[str, tuple[str, dict[str, str]]] = {
    "operators confirm a code elsewhere": (
        "oauth2.device.authorization.grant.enabled",
        dict.fromkeys(OPERATORS, "true"),
    ),
    "within minutes": ("oauth2.device.code.lifespan", dict.fromkeys(OPERATORS, "300")),
    "and PKCE is needed": ("pkce.code.challenge.method", dict.fromkeys(SIGN_IN, "S256")),
    "an operator's refresh token ends with the token it came with": (
        "client.session.max.lifespan",
        {name: str(REGISTRY.parties[name].max_ttl) for name in OPERATORS},
    ),
    "a party exchanges where it calls somebody": (
        "standard.token.exchange.enabled",
        {REGISTRY.id(name): "true" for name in REGISTRY.services if REGISTRY.parties[name].may_call},
    ),
    "the registry is told of each session that ends": ("backchannel.logout.url", dict.fromkeys(SIGN_IN, URL)),
    "with its id": ("backchannel.logout.session.required", dict.fromkeys(SIGN_IN, "true")),
}


@pytest.mark.parametrize(("attribute", "whose"), SOME.values(), ids=SOME)
def test_an_attribute_is_that_of_some_clients(clients: dict[str, Json], attribute: str, whose: dict[str, str]) -> None:
    found = {name: client["attributes"].get(attribute, "false") for name, client in clients.items()}

    assert {name: value for name, value in found.items() if value != "false"} == whose


def test_operators_alone_are_named_in_their_tokens_and_confirm_each_sign_in(
    clients: dict[str, Json], derived: Json
) -> None:
    named = {
        name: mapper["config"]["claim.name"]
        for name, client in clients.items()
        for mapper in client.get("protocolMappers", [])
        if mapper["protocolMapper"] == "oidc-usermodel-attribute-mapper"
    }

    assert named == dict.fromkeys(OPERATORS, "preferred_username")
    assert {name for name, client in clients.items() if client.get("consentRequired")} == {*OPERATORS}
    [flow] = derived["authenticationFlows"]
    assert flow["authenticationExecutions"][-1]["authenticator"] == "script-consent.js"


def test_lives_scopes_and_audiences_are_the_registrys(registry: Registry, clients: dict[str, Json]) -> None:
    for name, party in registry.parties.items():
        if party.keycloak != "none" and name != REGISTRY_PARTY:
            client = clients[registry.id(name)]
            audiences = [scope for scope in client["defaultClientScopes"] if scope.startswith("aud:")]
            assert client["attributes"].get("access.token.lifespan") == (str(party.max_ttl) if party.max_ttl else None)
            assert client["optionalClientScopes"] == party.delegates
            assert audiences == [f"aud:{callee}" for callee in party.may_call]


def test_no_default_scope_shows_in_the_scope_claim(derived: Json) -> None:
    """Else the downscope executor would filter it out, and with it audience and chain."""
    shown = {
        scope["name"] for scope in derived["clientScopes"] if scope["attributes"]["include.in.token.scope"] == "true"
    }

    assert not shown & {scope for client in derived["clients"] for scope in client.get("defaultClientScopes", [])}


def test_who_confirms_a_code_reads_what_they_allow_and_nothing_that_only_a_program_understands(
    registry: Registry, derived: Json, clients: dict[str, Json]
) -> None:
    scopes = {scope["name"]: scope["attributes"] for scope in derived["clientScopes"]}
    shown = {name for name, scope in scopes.items() if scope.get("display.on.consent.screen") != "false"}
    told = (
        "Administer the registry: suspend and reinstate parties, revoke users, sessions and tokens. "
        "Confirm only if you have just started this sign-in yourself."
    )

    assert shown == {*registry.scopes}
    assert scopes["registry.admin"]["consent.screen.text"] == told
    assert clients["zt"]["attributes"]["consent.screen.text"] == told
    assert scopes["agent.invoke"]["consent.screen.text"].startswith("Use agent.invoke at agent/reader, agent/writer. ")


def test_every_scope_that_a_client_names_is_defined(derived: Json, clients: dict[str, Json]) -> None:
    defined = {scope["name"] for scope in derived["clientScopes"]}

    for client in clients.values():
        assert {*client["defaultClientScopes"], *client["optionalClientScopes"]} <= defined


def test_the_keys_are_looked_up_at_the_attestation_authority_and_an_assertion_gets_no_older_than_the_registry_says(
    registry: Registry, derived: Json
) -> None:
    [provider] = derived["identityProviders"]

    assert provider["config"] == {
        "trustDomain": "spiffe://agents.example",
        "bundleEndpoint": "https://attestation.authority.agents.example/bundle",
        "fedClientAssertionMaxExp": str(registry.freshness.svid),
    }


def test_a_revoked_session_is_remembered_until_it_and_all_its_tokens_have_ended(
    registry: Registry, derived: Json
) -> None:
    """Keycloak ends no session for a changed password, and whoever stole its refresh token goes on with it."""
    longest = max(party.max_ttl or 0 for party in registry.parties.values())

    assert derived["ssoSessionMaxLifespan"] + 3 * longest <= RETENTION["session"]
    assert 2 * longest <= RETENTION["token"]


def test_the_realm_has_these_settings(derived: Json) -> None:
    settings = {
        "sslRequired": "all",  # nobody is served without TLS
        "eventsEnabled": True,
        "adminEventsEnabled": True,
        "adminEventsDetailsEnabled": True,
        "enabledEventTypes": list(RECORDED),
        "eventsListeners": [],  # a stranger fills neither the database nor the log
        "bruteForceProtected": False,  # nor locks anybody out
        "requiredActions": [],  # no user changes what they sign in with
        "passwordPolicy": "length(20)",
        "ssoSessionMaxLifespan": SESSION_LIFE,
    }
    assert {name: derived[name] for name in settings} == settings
    assert [kind for kind in derived["enabledEventTypes"] if kind.endswith("_ERROR")] == []
    kept = derived["eventsExpiration"], int(derived["attributes"]["adminEventsExpiration"])
    assert SESSION_KEPT + 1800 <= kept[0] == kept[1] <= 4 * SESSION_KEPT


def test_every_sign_in_asks_for_the_password_whatever_cookie_a_browser_has(derived: Json) -> None:
    [flow] = derived["authenticationFlows"]
    executions = [(one["authenticator"], one["requirement"]) for one in flow["authenticationExecutions"]]

    assert derived["browserFlow"] == flow["alias"]
    assert executions[0] == ("auth-username-password-form", "REQUIRED")
    assert not [c for c in derived["clients"] if "authenticationFlowBindingOverrides" in c]


def test_the_authorities_are_the_parties_that_the_registry_names(registry: Registry) -> None:
    names = registry.authorities.model_copy(update={"registry": "inference", "attestation": "tool/documents"})
    derived = realm(registry.model_copy(update={"authorities": names}))

    inference = "spiffe://agents.example/inference"
    assert [client["clientId"] for client in derived["clients"] if client.get("serviceAccountsEnabled")] == [inference]
    assert [user["serviceAccountClientId"] for user in derived["users"] if "clientRoles" in user] == [inference]
    assert derived["clientScopeMappings"]["realm-management"][0]["client"] == inference
    logout = {client.get("attributes", {}).get("backchannel.logout.url") for client in derived["clients"]}
    assert logout == {None, "https://inference.agents.example/backchannel-logout"}
    [provider] = derived["identityProviders"]
    assert provider["config"]["bundleEndpoint"].startswith("https://documents.tool.agents.example/")


# --- who acts at Keycloak for itself ----------------------------------------------------------------------------------


def test_one_party_administers_and_no_more_than_it_needs(derived: Json) -> None:
    roles = ["view-events", "manage-users", "manage-clients"]
    registry_id = "spiffe://agents.example/authority/registry"
    [account] = [user for user in derived["users"] if "serviceAccountClientId" in user]

    assert account["serviceAccountClientId"] == registry_id
    assert account["clientRoles"] == {"realm-management": roles}
    assert derived["clientScopeMappings"] == {"realm-management": [{"client": registry_id, "roles": roles}]}
    assert not [user for user in derived["users"] if user is not account and "clientRoles" in user]


def test_its_token_says_who_it_is_and_nothing_that_a_gate_would_want(
    registry: Registry, clients: dict[str, Json]
) -> None:
    client = clients[registry.id(REGISTRY_PARTY)]

    assert client["defaultClientScopes"] == ["basic"]
    assert client["optionalClientScopes"] == []
    assert client["attributes"]["access.token.lifespan"] == str(registry.freshness.svid)


def test_operators_are_a_group_that_no_user_of_the_story_is_in(derived: Json) -> None:
    members = [user["username"] for user in derived["users"] if "/operators" in user.get("groups", [])]

    assert derived["groups"] == [{"name": "engineering"}, {"name": "finance"}, {"name": "operators"}]
    assert members == ["olga"]


def test_an_authority_that_people_call_and_that_does_not_administer_is_a_client_like_others(registry: Registry) -> None:
    other = registry.parties["authority/registry"]
    zt = registry.parties["zt"].model_copy(update={"may_call": ["authority/audit"]})
    served = registry.scopes["registry.admin"].model_copy(update={"served_by": ["authority/audit"]})
    parties = {**registry.parties, "authority/audit": other, "zt": zt}
    scopes = {**registry.scopes, "registry.admin": served}
    derived = realm(registry.model_copy(update={"parties": parties, "scopes": scopes}))

    [client] = [c for c in derived["clients"] if c["clientId"] == "spiffe://agents.example/authority/audit"]
    assert not client["serviceAccountsEnabled"]
    assert client["clientAuthenticatorType"] == "federated-jwt"
    [administrator] = derived["clientScopeMappings"]["realm-management"]
    assert administrator["client"] == registry.id(REGISTRY_PARTY)


# --- the JAR ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_the_jar_of_a_script_is_always_the_same_and_has_it_under_the_name_that_the_realm_calls(
    tmp_path: Path, derived: Json, script: Path
) -> None:
    for name in "a.jar", "b.jar":
        build_jar(script, tmp_path / name)

    assert (tmp_path / "a.jar").read_bytes() == (tmp_path / "b.jar").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.jar") as jar:
        [[kind, [entry]]] = json.loads(jar.read("META-INF/keycloak-scripts.json")).items()
        assert jar.read(entry["fileName"]).decode() == script.read_text()
    [flow] = derived["authenticationFlows"]
    called = {
        "mappers": [
            mapper["protocolMapper"] for scope in derived["clientScopes"] for mapper in scope["protocolMappers"]
        ],
        "authenticators": [step["authenticator"] for step in flow["authenticationExecutions"]],
    }
    assert f"script-{entry['fileName']}" in called[kind]
