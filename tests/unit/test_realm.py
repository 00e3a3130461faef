"""The realm as derived: nothing secret in it, every grant closed that nobody needs."""

import re
from typing import Any

import pytest

from authorities.registry.keycloak.events import RECORDED
from registration.realm import realm, to_json
from zerotrust.registry.model import Registry
from zerotrust.revocation_list import RETENTION, SESSION_KEPT, SESSION_LIFE

Json = dict[str, Any]


@pytest.fixture(scope="module")
def derived(registry: Registry) -> Json:
    return realm(registry)


@pytest.fixture(scope="module")
def clients(derived: Json) -> dict[str, Json]:
    return {client["clientId"]: client for client in derived["clients"] if client["enabled"]}


def test_no_secret_and_no_password_is_in_it(registry: Registry) -> None:
    assert not re.search(
        r'"(?:secret|client_?secret|privateKey|secretData|credentials)"', to_json(registry), re.IGNORECASE
    )


def test_every_grant_is_closed_that_nobody_needs(clients: dict[str, Json]) -> None:
    for name, client in clients.items():
        assert client["standardFlowEnabled"] is (
            name in ("walkthrough", "zt", "zt-policy", "spiffe://agents.example/console")
        )
        assert not client["implicitFlowEnabled"]
        assert not client["directAccessGrantsEnabled"]
        assert client["serviceAccountsEnabled"] is (
            name in ("spiffe://agents.example/authority/registry", "spiffe://agents.example/automation/ci")
        )
        assert not client["fullScopeAllowed"]


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


def test_the_authorities_are_the_parties_that_the_registry_names(registry: Registry) -> None:
    names = registry.authorities.model_copy(update={"registry": "inference", "attestation": "tool/documents"})
    derived = realm(registry.model_copy(update={"authorities": names}))

    inference = "spiffe://agents.example/inference"
    with_account = [client["clientId"] for client in derived["clients"] if client.get("serviceAccountsEnabled")]
    assert with_account == [inference, *registry.operating]
    assert [user["serviceAccountClientId"] for user in derived["users"] if "clientRoles" in user] == [inference]
    assert derived["clientScopeMappings"]["realm-management"][0]["client"] == inference
    logout = {client.get("attributes", {}).get("backchannel.logout.url") for client in derived["clients"]}
    assert logout == {None, "https://inference.agents.example/backchannel-logout"}
    [provider] = derived["identityProviders"]
    assert provider["config"]["bundleEndpoint"].startswith("https://documents.tool.agents.example/")


def test_a_sign_in_names_the_audience_where_there_are_two(clients: dict[str, Json]) -> None:
    """And confirms what is for operators."""
    console = clients["spiffe://agents.example/console"]

    assert {"aud:orchestrator", "aud:authority/registry"} <= {*console["optionalClientScopes"]}
    assert not [scope for scope in console["defaultClientScopes"] if scope.startswith("aud:")]
    assert console["consentRequired"]


def test_a_party_that_operates_gets_its_own_scopes_for_one_authority_and_exchanges_nothing(
    registry: Registry, clients: dict[str, Json]
) -> None:
    client, party = clients["spiffe://agents.example/automation/ci"], registry.parties["automation/ci"]

    assert client["attributes"]["standard.token.exchange.enabled"] == "false"
    assert client["attributes"]["access.token.lifespan"] == "60"
    assert client["defaultClientScopes"] == ["basic", "groups"]
    assert client["optionalClientScopes"] == [*party.delegates, "aud:authority/registry", "aud:authority/policy"]
    written = {one["config"]["claim.name"]: one["config"]["claim.value"] for one in client["protocolMappers"]}
    assert written == dict.fromkeys(("client_id", "sub"), "spiffe://agents.example/automation/ci")


def test_programs_of_people_get_no_token_without_a_proof_of_a_key(clients: dict[str, Json]) -> None:
    key = "dpop.bound.access.tokens"
    bound = {name for name, client in clients.items() if client.get("attributes", {}).get(key) == "true"}

    assert bound == {"walkthrough", "zt", "zt-policy"}


def test_people_confirm_the_scopes_of_operators_alone(derived: Json) -> None:
    shown = [
        scope["name"] for scope in derived["clientScopes"] if scope["attributes"]["display.on.consent.screen"] == "true"
    ]

    assert shown == ["registry.admin", "policy.admin"]


# --- who acts at Keycloak for itself ----------------------------------------------------------------------------------


def test_operators_are_a_group_that_no_user_of_the_story_is_in(derived: Json) -> None:
    members = [user["username"] for user in derived["users"] if "/operators" in user.get("groups", [])]

    assert derived["groups"] == [{"name": "engineering"}, {"name": "finance"}, {"name": "operators"}]
    assert members == ["olga"]
    assert all(len(user["clientConsents"]) == 4 for user in derived["users"] if "id" in user)
