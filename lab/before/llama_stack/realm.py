"""The pass-through's realm at Keycloak: one client, and one token that is good for everything, for an hour."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from local.keycloak import URL, Keycloak
from registration.realm.users import USERS
from zerotrust.testing.browser import REDIRECT, Person
from zt.login import Client, Login, sign_out

NAME, CLIENT, AUDIENCE = "before-llama-stack", "app", "llama-stack"
LIFE = 3600
"""Seconds of a token: a usual setting."""


@dataclass(frozen=True)
class Realm:
    """The realm, and the passwords of its users, which were made for this run."""

    keycloak: Keycloak
    passwords: dict[str, str] = field(repr=False)
    issuer: str = f"{URL}/realms/{NAME}"

    async def sign_in(self, user: str) -> Login:
        """Sign a user in.  Raises `LoginError` and `httpx.TransportError`."""
        return await Person(user, self.passwords[user]).sign_in(self._client)

    async def sign_out(self, login: Login) -> None:
        """End a user's session.  Raises as `sign_in`."""
        await sign_out(self._client, login)

    @property
    def _client(self) -> Client:
        return Client(self.issuer, CLIENT, "openid", self.keycloak.tls)


@asynccontextmanager
async def realm(keycloak: Keycloak) -> AsyncIterator[Realm]:
    """Have the realm at a running Keycloak for a block."""
    passwords = {user: secrets.token_hex(16) for user in USERS}
    async with keycloak.administration("master") as admin:
        await admin.a_create_realm(representation(passwords))
    try:
        yield Realm(keycloak, passwords)
    finally:
        async with keycloak.administration("master") as admin:
            await admin.a_delete_realm(NAME)


def representation(passwords: dict[str, str]) -> dict[str, Any]:
    """Return the realm as Keycloak imports it.  Pure."""
    audience = {
        "name": "audience",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper",
        "config": {"included.custom.audience": AUDIENCE, "access.token.claim": "true"},
    }
    client = {"clientId": CLIENT, "publicClient": True, "redirectUris": [REDIRECT], "protocolMappers": [audience]}
    return {
        "realm": NAME,
        "enabled": True,
        "sslRequired": "all",
        "accessTokenLifespan": LIFE,
        "clients": [client],
        "groups": [{"name": group.removeprefix("/")} for group in sorted({g for _, gs in USERS.values() for g in gs})],
        "users": [_user(name, groups, passwords[name]) for name, (_, groups) in USERS.items()],
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
