"""What the realms of the systems before have in common: they are made for a run, and removed after it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from local.keycloak import Keycloak
from registration.realm.users import USERS

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


def realm_of(name: str, clients: list[dict[str, Any]], passwords: dict[str, str]) -> dict[str, Any]:
    """Return a realm with our users, as Keycloak imports it, and with Keycloak's own defaults.  Pure."""
    return {
        "realm": name,
        "enabled": True,
        "sslRequired": "all",
        "accessTokenLifespan": LIFE,
        "clients": clients,
        "groups": [{"name": group.removeprefix("/")} for group in sorted({g for _, gs in USERS.values() for g in gs})],
        "users": [_user(user, groups, passwords[user]) for user, (_, groups) in USERS.items()],
    }


def audience(name: str) -> dict[str, Any]:
    """Return the mapper that puts one audience into every token of a client."""
    return {
        "name": "audience",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper",
        "config": {"included.custom.audience": name, "access.token.claim": "true"},
    }


def _user(name: str, groups: list[str], password: str) -> dict[str, Any]:
    return {
        "username": name,
        "enabled": True,
        "email": f"{name}@example.com",
        "emailVerified": True,
        "firstName": name.capitalize(),
        "lastName": "Example",
        "groups": groups,
        "credentials": [{"type": "password", "value": password}],
    }
