"""Settings of the whole realm: sign-in, sessions, events, keys, workloads, and policies for all clients."""

from typing import Any

from authorities.attestation.spiffe.bundle import PATH
from authorities.registry.keycloak.events import KEPT_FOR, RECORDED
from zerotrust.registry.model import Registry
from zerotrust.revocation_list import SESSION_LIFE


def sign_in() -> dict[str, Any]:
    """Return how people sign in; they cannot change their credentials."""
    return {
        "sslRequired": "all",
        # With a lock-out, a stranger could lock out any user, even operators, by wrong passwords.  Guessing is hopeless
        # without it: each start makes passwords of 128 bits, and no user can choose another.
        "bruteForceProtected": False,
        # Users cannot change their own password, second factor, e-mail or linked identity.
        "requiredActions": [],
        "passwordPolicy": "length(20)",
        # Every sign-in asks for the password.  With Keycloak's own flow, a link gets a code if a cookie shows that the
        # browser is signed in, and the clients are public: a process that listens at their address would get that code
        # (RFC 8252 section 8.6).  Keycloak adds its other flows by itself.
        "authenticationFlows": [_SIGN_IN],
        "browserFlow": _SIGN_IN["alias"],
    }


def sessions(registry: Registry) -> dict[str, Any]:
    """Return the lifetimes of sessions and tokens, and the signing keys."""
    return {
        "defaultSignatureAlgorithm": "RS256",
        # One signing key, for the one algorithm that services accept; and the keys for Keycloak's own cookies.
        "components": {
            "org.keycloak.keys.KeyProvider": [
                _key("rsa", algorithm="RS256", keySize="2048"),
                _key("hmac", algorithm="HS512"),
                _key("aes"),
            ]
        },
        "accessTokenLifespan": max(party.max_ttl or 0 for party in registry.parties.values() if party.starts_chains),
        "ssoSessionIdleTimeout": 900,
        "ssoSessionMaxLifespan": SESSION_LIFE,
        # A refresh token can be used once (RFC 9700 section 2.2.2).
        "revokeRefreshToken": True,
        "refreshTokenMaxReuse": 0,
    }


def events(registry: Registry) -> dict[str, Any]:
    """Return the events that Keycloak records, for the registry to poll, and the attributes of the realm."""
    return {
        "eventsEnabled": True,
        "eventsListeners": [],  # a listener writes a line into the log for each request that a stranger makes
        "enabledEventTypes": list(RECORDED),
        "eventsExpiration": KEPT_FOR,
        "adminEventsEnabled": True,
        "adminEventsDetailsEnabled": True,
        "attributes": {
            "adminEventsExpiration": str(KEPT_FOR),
            "chain_claim": registry.chain_claim,  # for delegation.js
        },
    }


def identity_provider(registry: Registry) -> dict[str, Any]:
    """Return the identity provider by which workloads authenticate: where Keycloak reads the keys of JWT-SVIDs."""
    return {
        "alias": "spiffe",
        "providerId": "spiffe",
        "enabled": True,
        "hideOnLogin": True,
        "config": {
            "trustDomain": f"spiffe://{registry.trust_domain}",
            "bundleEndpoint": f"{registry.address(registry.authorities.attestation)}{PATH}",
            "fedClientAssertionMaxExp": str(registry.freshness.svid),
        },
    }


def client_policies() -> dict[str, Any]:
    """Return the policies that apply to every client."""
    return {
        "clientProfiles": {"profiles": [_PROFILE]},
        "clientPolicies": {
            "policies": [
                {
                    "name": _PROFILE["name"],
                    "enabled": True,
                    # A policy without a condition applies to no client.
                    "conditions": [{"condition": "any-client", "configuration": {}}],
                    "profiles": [_PROFILE["name"]],
                }
            ]
        },
    }


_SIGN_IN = {
    "alias": "password",
    "providerId": "basic-flow",
    "topLevel": True,
    "builtIn": False,
    "authenticationExecutions": [
        {"authenticator": "auth-username-password-form", "requirement": "REQUIRED", "priority": 10},
        {"authenticator": "script-consent.js", "requirement": "REQUIRED", "priority": 20},
    ],
}

_PROFILE = {
    "name": "only-less",
    "executors": [
        # An exchange may not request a scope that the subject token does not have.
        {"executor": "downscope-assertion-grant-enforcer", "configuration": {}},
        # No client may use the password grant (RFC 9700 section 2.4).
        {"executor": "reject-ropc-grant", "configuration": {"auto-configure": "true"}},
    ],
}


def _key(kind: str, **config: str) -> dict[str, Any]:
    """Return a key provider: Keycloak makes the key at import, and never exports it."""
    return {
        "name": kind,
        "providerId": f"{kind}-generated",
        "config": {"priority": ["100"], **{key: [value] for key, value in config.items()}},
    }
