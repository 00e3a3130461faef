"""The realm of figure 1: the application has an id and a secret, and one token for everything, without a user."""

import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt

from lab.before.realm import audience, made, realm_of
from local.keycloak import Keycloak
from local.keycloak_options import URL
from registration.realm.users import USERS
from zerotrust.testing.browser import REDIRECT, Person
from zt.login import Client, Login, sign_out

NAME, PAGE, APP, AUDIENCE = "before-one-token", "page", "app", "platform"
"""Users sign in at the application's page; behind it, the application gets its own token."""


@dataclass(frozen=True)
class Realm:
    """The realm, and its secrets, which were made for this run."""

    tls: ssl.SSLContext = field(repr=False)
    """What trusts Keycloak's certificate."""
    passwords: dict[str, str] = field(repr=False)
    secret: str = field(repr=False)
    """The application's."""
    issuer: str = f"{URL}/realms/{NAME}"

    async def sign_in(self, user: str) -> Login:
        """Sign a user in at the page.  Raises `LoginError` and `httpx.TransportError`."""
        return await Person(user, self.passwords[user]).sign_in(self._page)

    async def sign_out(self, login: Login) -> None:
        """End a user's session at Keycloak.  Raises as `sign_in`."""
        await sign_out(self._page, login)

    async def token(self, client_id: str, secret: str) -> tuple[str, int]:
        """Return a token for whoever has id and secret, and its seconds (RFC 6749 section 4.4)."""
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
        async with self._page.http() as http:
            answer = await http.post(f"{self.issuer}/protocol/openid-connect/token", data=form)
        found = answer.raise_for_status().json()
        return found["access_token"], found["expires_in"]

    async def keys(self) -> jwt.PyJWKSet:
        """Return the keys that sign tokens."""
        async with self._page.http() as http:
            answer = await http.get(f"{self.issuer}/protocol/openid-connect/certs")
        return jwt.PyJWKSet.from_dict(answer.raise_for_status().json())

    @property
    def _page(self) -> Client:
        return Client(self.issuer, PAGE, "openid", self.tls)


@asynccontextmanager
async def realm(keycloak: Keycloak) -> AsyncIterator[Realm]:
    """Have the realm at a running Keycloak for a block."""
    fresh = new(keycloak.tls)
    async with made(keycloak, representation(fresh.passwords, fresh.secret)):
        yield fresh


def new(tls: ssl.SSLContext) -> Realm:
    """Return the realm with new secrets; it is not at Keycloak yet."""
    return Realm(tls, {user: secrets.token_hex(16) for user in USERS}, secrets.token_hex(32))


def representation(passwords: dict[str, str], secret: str) -> dict[str, Any]:
    """Return the realm as Keycloak imports it.  Pure."""
    page = {"clientId": PAGE, "publicClient": True, "redirectUris": [REDIRECT]}
    app = {"clientId": APP, "secret": secret, "serviceAccountsEnabled": True, "standardFlowEnabled": False}
    return realm_of(NAME, [page, app | {"protocolMappers": [audience(AUDIENCE)]}], passwords)
