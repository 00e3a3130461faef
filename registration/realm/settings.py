"""What holds for the whole realm: sign-in, sessions, events, keys, and the policies of all clients."""

from typing import Any

from authorities.registry.keycloak.events import KEPT_FOR, RECORDED
from zerotrust.registry.model import Registry
from zerotrust.revocation_list import SESSION_LIFE


def sign_in() -> dict[str, Any]:
    """How people sign in, and that they cannot change by what."""
    return {
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
    }


def sessions(registry: Registry) -> dict[str, Any]:
    """How long sessions and tokens last, and which keys sign these."""
    return {
        "defaultSignatureAlgorithm": "RS256",
        # One key that signs, for the one algorithm that services accept; and what Keycloak needs for its own cookies.
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
        # A refresh token is good once (RFC 9700 section 2.2.2).
        "revokeRefreshToken": True,
        "refreshTokenMaxReuse": 0,
    }


def events() -> dict[str, Any]:
    """What Keycloak writes down for the registry, which polls it."""
    return {
        "eventsEnabled": True,
        "eventsListeners": [],  # a listener writes a line into the log for each request that a stranger makes
        "enabledEventTypes": list(RECORDED),
        "eventsExpiration": KEPT_FOR,
        "adminEventsEnabled": True,
        "adminEventsDetailsEnabled": True,
        "attributes": {"adminEventsExpiration": str(KEPT_FOR)},
    }


def client_policies() -> dict[str, Any]:
    """What Keycloak refuses to every client."""
    return {
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
