"""What the realms of the systems before have in common: they are made for a run, and removed after it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from local.keycloak import Keycloak
from registration.realm.users import USERS, user

LIFE = 3600
"""Seconds of a token: a usual setting."""


@asynccontextmanager
async def made(keycloak: Keycloak, representation: dict[str, Any]) -> AsyncIterator[None]:
    """Have a realm at a running Keycloak for a block."""
    async with keycloak.administration("master") as admin:
        await admin.a_create_realm(representation)
    try:
        yield
    finally:
        async with keycloak.administration("master") as admin:
            await admin.a_delete_realm(representation["realm"])


def realm_of(realm: str, clients: list[dict[str, Any]], passwords: dict[str, str]) -> dict[str, Any]:
    """Return a realm with our users, as Keycloak imports it, and with Keycloak's own defaults.  Pure."""
    return {
        "realm": realm,
        "enabled": True,
        "sslRequired": "all",
        "accessTokenLifespan": LIFE,
        "clients": clients,
        "groups": [{"name": group.removeprefix("/")} for group in sorted({g for _, gs in USERS.values() for g in gs})],
        "users": [
            {**user(name, groups), "credentials": [{"type": "password", "value": passwords[name]}]}
            for name, (_, groups) in USERS.items()
        ],
    }


def audience(name: str) -> dict[str, Any]:
    """Return the mapper that puts one audience into every token of a client."""
    return {
        "name": "audience",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper",
        "config": {"included.custom.audience": name, "access.token.claim": "true"},
    }
