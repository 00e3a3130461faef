"""Makes the realms of the two earlier systems: each is made for a run, and removed after it."""

import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from registration.realm.users import USERS, user
from start.keycloak.options import URL
from start.keycloak.server import Keycloak
from testkit.browser import Person
from zt.people.login import Client, Login, sign_out

LIFE = 3600
"""Seconds of a token: a usual setting."""


@dataclass(frozen=True)
class Users:
    """The users of a realm, with their passwords of this run, and the public client at which they sign in."""

    tls: ssl.SSLContext = field(repr=False)
    """A TLS context that trusts Keycloak's certificate."""
    passwords: dict[str, str] = field(repr=False)
    realm: str
    client: str

    @property
    def issuer(self) -> str:
        """The realm's URL in tokens."""
        return f"{URL}/realms/{self.realm}"

    @property
    def page(self) -> Client:
        """The client."""
        return Client(self.issuer, self.client, "openid", self.tls)

    async def sign_in(self, user: str) -> Login:
        """Sign a user in; the token names our key (`cnf`), and these systems ignore it.

        Raises `LoginError` and `httpx.TransportError`.
        """
        return await Person(user, self.passwords[user]).sign_in(self.page)

    async def sign_out(self, login: Login) -> None:
        """End a user's session at Keycloak.  Raises as `sign_in`."""
        await sign_out(self.page, login)


def new_passwords() -> dict[str, str]:
    """Return a new password for each user."""
    return {user: secrets.token_hex(16) for user in USERS}


@asynccontextmanager
async def temporary_realm(keycloak: Keycloak, representation: dict[str, Any]) -> AsyncIterator[None]:
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
