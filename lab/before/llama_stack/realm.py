"""The pass-through's realm at Keycloak: one client, and one token that is good for everything, for an hour."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from lab.before.realm import audience, made, realm_of
from local.keycloak import Keycloak
from local.keycloak_options import URL
from registration.realm.users import USERS
from zerotrust.testing.browser import REDIRECT, Person
from zt.login import Client, Login, sign_out

NAME, CLIENT, AUDIENCE = "before-llama-stack", "app", "llama-stack"


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
    async with made(keycloak, representation(passwords)):
        yield Realm(keycloak, passwords)


def representation(passwords: dict[str, str]) -> dict[str, Any]:
    """Return the realm as Keycloak imports it.  Pure."""
    client = {"clientId": CLIENT, "publicClient": True, "redirectUris": [REDIRECT]}
    return realm_of(NAME, [client | {"protocolMappers": [audience(AUDIENCE)]}], passwords)
