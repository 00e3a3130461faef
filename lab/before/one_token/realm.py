"""The realm of figure 1: the application has an id and a secret, and one token for everything, without a user."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt

from lab.before.realm import Users, audience, new_passwords, realm_of, temporary_realm
from start.keycloak.server import Keycloak
from testkit.browser import REDIRECT

NAME, PAGE, APP, AUDIENCE = "before-one-token", "page", "app", "platform"
"""Users sign in at the application's page; behind it, the application gets its own token."""


@dataclass(frozen=True)
class Realm(Users):
    """The realm, and its secrets, which were made for this run."""

    realm: str = NAME
    client: str = PAGE
    secret: str = field(default="", repr=False)
    """The application's."""

    async def token(self, client_id: str, secret: str) -> tuple[str, int]:
        """Return a token for this id and secret, and its life in seconds (RFC 6749 section 4.4)."""
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
        async with self.page.http() as http:
            answer = await http.post(f"{self.issuer}/protocol/openid-connect/token", data=form)
        found = answer.raise_for_status().json()
        return found["access_token"], found["expires_in"]

    async def keys(self) -> jwt.PyJWKSet:
        """Return the keys that sign tokens."""
        async with self.page.http() as http:
            answer = await http.get(f"{self.issuer}/protocol/openid-connect/certs")
        return jwt.PyJWKSet.from_dict(answer.raise_for_status().json())


@asynccontextmanager
async def realm(keycloak: Keycloak) -> AsyncIterator[Realm]:
    """Have the realm at a running Keycloak for a block."""
    fresh = Realm(keycloak.tls, new_passwords(), secret=secrets.token_hex(32))
    async with temporary_realm(keycloak, representation(fresh.passwords, fresh.secret)):
        yield fresh


def representation(passwords: dict[str, str], secret: str) -> dict[str, Any]:
    """Return the realm as Keycloak imports it.  Pure."""
    page = {"clientId": PAGE, "publicClient": True, "redirectUris": [REDIRECT]}
    app = {"clientId": APP, "secret": secret, "serviceAccountsEnabled": True, "standardFlowEnabled": False}
    return realm_of(NAME, [page, app | {"protocolMappers": [audience(AUDIENCE)]}], passwords)
