"""Derives Keycloak's realm from `registry.yaml`: who may log in, call whom, and delegate what.

`make register` writes it to `keycloak-realm/realm.json`; a test keeps the committed file current.
`keycloak-realm/README.md` explains what each client, scope and policy is for.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

from authorities.registry.keycloak.backchannel_logout import PATH as LOGOUT_PATH
from authorities.registry.keycloak.events import KEPT_FOR, RECORDED
from zerotrust.registry.model import OPERATORS, Party, Registry
from zerotrust.registry.snapshot import ATTESTATION_PARTY, REGISTRY_PARTY
from zerotrust.revocation_list import SESSION_LIFE
from zt.login import REDIRECT

ROOT = Path(__file__).parents[1]
REGISTRY = ROOT / "registry.yaml"
REALM_FILE = ROOT / "keycloak-realm" / "realm.json"
SCRIPT = ROOT / "keycloak-realm" / "delegation.js"

# The people of the demo. Ids are fixed, so that documents and records made before a restart still have an owner.
USERS = {
    "alice": ("a11ce000-0000-4000-8000-000000000000", ["/engineering"]),
    "bob": ("b0b00000-0000-4000-8000-000000000000", ["/finance"]),
    "dana": ("da7a0000-0000-4000-8000-000000000000", ["/engineering", "/finance"]),
    "eve": ("e5e00000-0000-4000-8000-000000000000", []),
    "olga": ("019a0000-0000-4000-8000-000000000000", [OPERATORS]),
}

ADMINISTRATOR = REGISTRY_PARTY
"""The one party that acts at Keycloak for itself, and for no user."""

# It polls what happened, ends a user's sessions, and disables the client of whoever is suspended.
_ADMINISTRATION = ["view-events", "manage-users", "manage-clients"]

# Keycloak makes these with every realm. Nothing here needs them, so nobody gets in through them.
_BUILT_IN = ["account", "account-console", "admin-cli", "broker", "security-admin-console"]


def realm(registry: Registry) -> dict[str, Any]:
    """Return the whole realm as Keycloak imports it.  Pure; no secret and no password is in it."""
    parties = registry.parties.items()
    callees = {callee for _, party in parties for callee in party.may_call}
    administrators = [name for name, party in parties if name == ADMINISTRATOR and party.keycloak == "confidential"]
    longest = max(party.max_ttl or 0 for _, party in parties if party.starts_chains)
    return {
        "realm": registry.realm,
        "enabled": True,
        "sslRequired": "all",
        # Lock-out would let a stranger keep anybody out with wrong passwords, operators too.  Guessing is hopeless
        # without it: each start makes the passwords, of 128 bits, and no user can choose another.
        "bruteForceProtected": False,
        # No user changes anything of their own: neither password, second factor, e-mail nor linked identity.
        "requiredActions": [],
        "passwordPolicy": "length(20)",
        # Every sign-in asks for the password.  Keycloak's own flow answers a link with a code where a cookie says that
        # the browser is signed in, and the public clients are public: who listens at their address gets that code
        # (RFC 8252 section 8.6).  Keycloak adds its other flows by itself.
        "authenticationFlows": [_SIGN_IN],
        "browserFlow": _SIGN_IN["alias"],
        "defaultSignatureAlgorithm": "RS256",
        # One key that signs, for the one algorithm that services accept; and what Keycloak needs for its own cookies.
        "components": {
            "org.keycloak.keys.KeyProvider": [
                _key("rsa", algorithm="RS256", keySize="2048"),
                _key("hmac", algorithm="HS512"),
                _key("aes"),
            ]
        },
        "accessTokenLifespan": longest,
        "ssoSessionIdleTimeout": 900,
        "ssoSessionMaxLifespan": SESSION_LIFE,
        # A refresh token of a public client is good once (RFC 9700 section 2.2.2).
        "revokeRefreshToken": True,
        "refreshTokenMaxReuse": 0,
        "eventsEnabled": True,
        "eventsListeners": [],  # a listener writes a line into the log for each request that a stranger makes
        "enabledEventTypes": list(RECORDED),
        "eventsExpiration": KEPT_FOR,
        "adminEventsEnabled": True,
        "adminEventsDetailsEnabled": True,
        "attributes": {"adminEventsExpiration": str(KEPT_FOR)},
        "clientScopes": [
            *_claim_scopes(),
            *(_audience_scope(registry, name) for name in registry.parties if name in callees),
            *({**_client_scope(name), "attributes": {"include.in.token.scope": "true"}} for name in registry.scopes),
        ],
        "defaultDefaultClientScopes": [],
        "defaultOptionalClientScopes": [],
        "clients": [
            *(_client(registry, name, party) for name, party in parties if party.keycloak != "none"),
            *({"clientId": name, "enabled": False} for name in _BUILT_IN),
        ],
        "clientScopeMappings": {
            "realm-management": [{"client": registry.id(name), "roles": _ADMINISTRATION} for name in administrators]
        },
        "identityProviders": [_spiffe(registry)],
        "clientProfiles": {"profiles": [_PROFILE]},
        "clientPolicies": {
            "policies": [
                {
                    "name": _PROFILE["name"],
                    "enabled": True,
                    # A policy without a condition applies to nobody.
                    "conditions": [{"condition": "any-client", "configuration": {}}],
                    "profiles": [_PROFILE["name"]],
                }
            ]
        },
        "groups": [{"name": group.removeprefix("/")} for group in (*sorted(registry.departments), OPERATORS)],
        "users": [
            *(_user(name, *entry) for name, entry in USERS.items()),
            *(_service_account(registry.id(name)) for name in administrators),
        ],
    }


_SIGN_IN = {
    "alias": "password",
    "providerId": "basic-flow",
    "topLevel": True,
    "builtIn": False,
    "authenticationExecutions": [{"authenticator": "auth-username-password-form", "requirement": "REQUIRED"}],
}

_PROFILE = {
    "name": "only-less",
    "executors": [
        # An exchange may not ask for a scope that the subject token does not hold.
        {"executor": "downscope-assertion-grant-enforcer", "configuration": {}},
        # No client may ever take a user's password (RFC 9700 section 2.4).
        {"executor": "reject-ropc-grant", "configuration": {"auto-configure": "true"}},
    ],
}


def _key(kind: str, **config: str) -> dict[str, Any]:
    """A key that Keycloak makes at import and keeps to itself."""
    return {
        "name": kind,
        "providerId": f"{kind}-generated",
        "config": {"priority": ["100"], **{key: [value] for key, value in config.items()}},
    }


def _client_scope(name: str, *mappers: dict[str, Any]) -> dict[str, Any]:
    """A scope that stays out of the `scope` claim, and so passes the downscope executor at every exchange."""
    return {
        "name": name,
        "protocol": "openid-connect",
        "attributes": {"include.in.token.scope": "false"},
        "protocolMappers": list(mappers),
    }


def _mapper(name: str, kind: str, **config: str) -> dict[str, Any]:
    return {
        "name": name,
        "protocol": "openid-connect",
        "protocolMapper": kind,
        "config": {
            "access.token.claim": "true",
            "introspection.token.claim": "true",
            "id.token.claim": "false",
            "userinfo.token.claim": "false",
        }
        | {key.replace("_", "."): value for key, value in config.items()},
    }


def _claim_scopes() -> list[dict[str, Any]]:
    return [
        _client_scope("basic", _mapper("sub", "oidc-sub-mapper")),
        # The full path: `/x/finance` is not `/finance`.
        _client_scope(
            "groups", _mapper("groups", "oidc-group-membership-mapper", claim_name="groups", full_path="true")
        ),
        _client_scope(
            "delegation",
            _mapper("act", "script-delegation.js", claim_name="act", jsonType_label="JSON", id_token_claim="true"),  # noqa: S106
        ),
    ]


def _audience_scope(registry: Registry, name: str) -> dict[str, Any]:
    mapper = _mapper("audience", "oidc-audience-mapper", included_client_audience=registry.id(name))
    return _client_scope(f"aud:{name}", mapper)


def _client(registry: Registry, name: str, party: Party) -> dict[str, Any]:
    """What a party is at Keycloak: every grant is off until it is named."""
    exchanges = bool(party.may_call) and not party.starts_chains
    lifespan = party.max_ttl
    if name == ADMINISTRATOR:  # what its own token may do lives as long as the identity by which it got it
        lifespan = registry.freshness.svid
    client: dict[str, Any] = {
        "clientId": registry.id(name),
        "enabled": True,
        "publicClient": party.keycloak == "public",
        "standardFlowEnabled": party.starts_chains,
        "implicitFlowEnabled": False,
        "directAccessGrantsEnabled": False,
        "serviceAccountsEnabled": name == ADMINISTRATOR,
        "fullScopeAllowed": False,
        "attributes": {
            "access.token.header.type.rfc9068": "true",  # `typ` at+jwt: no ID token is ever taken for an access token
            "oauth2.device.authorization.grant.enabled": "false",
            "oidc.ciba.grant.enabled": "false",
            "standard.token.exchange.enabled": "true" if exchanges else "false",
            **({"access.token.lifespan": str(lifespan)} if lifespan else {}),
        },
        "defaultClientScopes": [
            "basic",
            *(["groups"] if party.may_call else []),
            *(["delegation"] if exchanges else []),
            *(f"aud:{callee}" for callee in party.may_call),
        ],
        "optionalClientScopes": party.delegates,
    }
    if party.keycloak == "confidential":
        # Keycloak gives every confidential client a secret; with this authenticator it opens nothing.
        client["clientAuthenticatorType"] = "federated-jwt"
        # The first is the identity provider's alias.
        client["attributes"] |= {"jwt.credential.issuer": "spiffe", "jwt.credential.sub": registry.id(name)}
    if party.starts_chains:
        client |= _sign_in(registry, name)
        client["attributes"] |= {"pkce.code.challenge.method": "S256"} | _told_of_logouts(registry)
        if ADMINISTRATOR in party.may_call:  # its refresh token ends with the token that it came with
            client["attributes"]["client.session.max.lifespan"] = str(party.max_ttl)
    return client


def _sign_in(registry: Registry, name: str) -> dict[str, Any]:
    """What a party has by which users sign in."""
    # RFC 9068 section 2.2.  In a token that comes of an exchange `delegation.js` says so.
    claim = {"claim_name": "client_id", "claim_value": registry.id(name), "jsonType_label": "String"}
    return {
        "redirectUris": [REDIRECT],
        "protocolMappers": [_mapper("client_id", "oidc-hardcoded-claim-mapper", **claim)],
    }


def _told_of_logouts(registry: Registry) -> dict[str, str]:
    """Where Keycloak tells of each session that ends (OpenID Connect Back-Channel Logout 1.0 section 2.2)."""
    if ADMINISTRATOR not in registry.parties:
        return {}
    return {
        "backchannel.logout.url": f"{registry.address(ADMINISTRATOR)}{LOGOUT_PATH}",
        "backchannel.logout.session.required": "true",
    }


def _service_account(client_id: str) -> dict[str, Any]:
    """What a client is when it acts for itself; no gate takes its token, for nobody acts in it for a user."""
    return {
        "username": f"service-account-{client_id}",
        "enabled": True,
        "serviceAccountClientId": client_id,
        "clientRoles": {"realm-management": _ADMINISTRATION},
    }


def _spiffe(registry: Registry) -> dict[str, Any]:
    port = registry.parties[ATTESTATION_PARTY].port
    return {
        "alias": "spiffe",
        "providerId": "spiffe",
        "enabled": True,
        "hideOnLogin": True,
        "config": {
            "trustDomain": f"spiffe://{registry.trust_domain}",
            "bundleEndpoint": f"https://localhost:{port}/bundle",
            "fedClientAssertionMaxExp": str(registry.freshness.svid),
        },
    }


def _user(name: str, identifier: str, groups: list[str]) -> dict[str, Any]:
    """A user without any credential: whoever imports the realm gives passwords to them, through the administration."""
    return {
        "id": identifier,
        "username": name,
        "enabled": True,
        "email": f"{name}@example.com",
        "emailVerified": True,
        "firstName": name.capitalize(),
        "lastName": "Example",
        "groups": groups,
    }


def as_text(derived: dict[str, Any]) -> str:
    """Return the realm as the committed file holds it."""
    return json.dumps(derived, indent=2) + "\n"


def build_jar(script: Path, target: Path) -> None:
    """Pack the mapper as Keycloak wants it: a JAR is a zip with a table of contents.  Same script, same bytes."""
    contents = {"mappers": [{"name": "Delegation chain", "fileName": script.name, "description": "RFC 8693 act"}]}
    with zipfile.ZipFile(target, "w") as jar:
        for name, text in [("META-INF/keycloak-scripts.json", json.dumps(contents)), (script.name, script.read_text())]:
            jar.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
