"""Clients: the client of each party at Keycloak, from three facts in the registry."""

from typing import Any

from authorities.registry.keycloak.backchannel_logout import PATH as LOGOUT_PATH
from registration.realm.scopes import consent, mapper
from zerotrust.registry.model import Party, Registry
from zerotrust.revocation_list import SIGN_IN_LIFE

# The registry is the one party that acts at Keycloak for itself, and for no user: it polls events, ends users'
# sessions, and disables the clients of suspended parties.
ADMINISTRATION = ["view-events", "manage-users", "manage-clients"]

# Keycloak makes these with every realm.  They are not needed here, and so disabled.
_BUILT_IN = ["account", "account-console", "admin-cli", "broker", "security-admin-console"]

# RFC 8628 section 3.2, in seconds: a code that an attacker sends to a user expires soon, and a sign-in waits little.
_DEVICE_GRANT = {"oauth2.device.code.lifespan": "300", "oauth2.device.polling.interval": "2"}

# Operators, and people at the console, are told who signed in.
_USERNAME = mapper(
    "username", "oidc-usermodel-attribute-mapper", user_attribute="username", claim_name="preferred_username"
)


def clients(registry: Registry) -> list[dict[str, Any]]:
    """Return the clients of all parties, and of the outside servers that take tokens."""
    parties = registry.parties.items()
    return [
        *(_client(registry, name, party) for name, party in parties if party.keycloak != "none"),
        *(_audience(registry, name) for name, server in registry.outside.items() if server.takes_tokens),
        *({"clientId": name, "enabled": False} for name in _BUILT_IN),
    ]


def role_mappings(registry: Registry) -> dict[str, Any]:
    """Return the roles that a client may have in its scope."""
    administrator = registry.id(registry.authorities.registry)
    return {"realm-management": [{"client": administrator, "roles": ADMINISTRATION}]}


def _client(registry: Registry, name: str, party: Party) -> dict[str, Any]:
    """Return a party's client at Keycloak: every grant is off unless the party needs it."""
    exchanges = bool(party.may_call) and not party.starts_chains and not party.operates
    administrator, lifespan = registry.authorities.registry, party.max_ttl
    of_operators = bool({administrator, registry.authorities.policy} & {*party.may_call})
    audiences = [f"aud:{callee}" for callee in party.may_call]
    names_one = not exchanges and len(audiences) > 1  # each request names the one that its token is for
    proves_key = party.id == "client"  # it has no certificate that would bind its tokens
    if name == administrator:  # its own token lives as long as the SVID that it was issued for
        lifespan = registry.freshness.svid
    client: dict[str, Any] = {
        "clientId": registry.id(name),
        "enabled": True,
        "publicClient": party.keycloak == "public",
        "standardFlowEnabled": party.starts_chains,
        "implicitFlowEnabled": False,
        "directAccessGrantsEnabled": False,
        "serviceAccountsEnabled": name == administrator or party.operates,
        "fullScopeAllowed": False,
        "attributes": {
            "access.token.header.type.rfc9068": "true",  # `typ` at+jwt: no ID token is ever taken for an access token
            "oauth2.device.authorization.grant.enabled": "true" if party.device_grant else "false",
            "oidc.ciba.grant.enabled": "false",
            "dpop.bound.access.tokens": "true" if proves_key else "false",
            "standard.token.exchange.enabled": "true" if exchanges else "false",
            **({"access.token.lifespan": str(lifespan)} if lifespan else {}),
        },
        "defaultClientScopes": [
            "basic",
            *(["groups"] if party.may_call else []),
            *(["delegation"] if exchanges else []),
            *(["binding"] if proves_key and not of_operators else []),  # nobody exchanges an operator's token
            *([] if names_one else audiences),
        ],
        "optionalClientScopes": [*party.delegates, *(audiences if names_one else [])],
    }
    if party.keycloak == "confidential":
        # Keycloak gives every confidential client a secret; with this authenticator it is not accepted.
        client["clientAuthenticatorType"] = "federated-jwt"
        # `spiffe` is the identity provider's alias.
        client["attributes"] |= {"jwt.credential.issuer": "spiffe", "jwt.credential.sub": registry.id(name)}
    if party.operates:
        # It is the subject of its tokens (RFC 9068 section 2.2), and not the account that Keycloak makes for it.
        client["protocolMappers"] = [_hard_coded(registry, name, claim) for claim in ("client_id", "sub")]
    if party.starts_chains:
        client |= {"redirectUris": party.redirect_uris, "protocolMappers": [_hard_coded(registry, name, "client_id")]}
        client["attributes"] |= {"pkce.code.challenge.method": "S256"} | _backchannel_logout(registry)
        if party.device_grant:
            client["attributes"] |= _DEVICE_GRANT
            # The page for the code shows this from the second time on: Keycloak remembers what was confirmed.
            client["attributes"]["consent.screen.text"] = " ".join(consent(registry, s) for s in party.delegates)
        if of_operators:
            client["consentRequired"] = True  # an attacker's link leads to the same form (RFC 8252 section 8.6)
        if of_operators and proves_key:  # a sign-in serves the commands of this time
            client["attributes"]["client.session.max.lifespan"] = str(SIGN_IN_LIFE)
        if of_operators or not proves_key:
            client["protocolMappers"].append(_USERNAME)
    return client


def _audience(registry: Registry, name: str) -> dict[str, Any]:
    """Return the client of an outside server: tokens are issued for it, and it can ask for nothing."""
    return {
        "clientId": registry.id(name),
        "enabled": True,
        "bearerOnly": True,
        "standardFlowEnabled": False,
        "implicitFlowEnabled": False,
        "directAccessGrantsEnabled": False,
        "serviceAccountsEnabled": False,
        "fullScopeAllowed": False,
        # No workload has an SVID for it, and the secret that Keycloak makes is not accepted.
        "clientAuthenticatorType": "federated-jwt",
        "attributes": {
            "oauth2.device.authorization.grant.enabled": "false",
            "oidc.ciba.grant.enabled": "false",
            "standard.token.exchange.enabled": "false",
        },
        "defaultClientScopes": [],
        "optionalClientScopes": [],
    }


def _hard_coded(registry: Registry, name: str, claim: str) -> dict[str, Any]:
    """Return a mapper that writes the party's id; in exchanged tokens, `delegation.js` sets `client_id`."""
    config = {"claim_name": claim, "claim_value": registry.id(name), "jsonType_label": "String"}
    return mapper(claim, "oidc-hardcoded-claim-mapper", **config)


def _backchannel_logout(registry: Registry) -> dict[str, str]:
    """Return where Keycloak sends logout tokens (OpenID Connect Back-Channel Logout 1.0 section 2.2)."""
    return {
        "backchannel.logout.url": f"{registry.address(registry.authorities.registry)}{LOGOUT_PATH}",
        "backchannel.logout.session.required": "true",
    }
