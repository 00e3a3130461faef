"""The pass-through's realm at Keycloak: one client, and one token that is good for everything, for an hour."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from lab.before.realm import Users, audience, new_passwords, realm_of, temporary_realm
from start.keycloak import Keycloak
from testkit.browser import REDIRECT

NAME, CLIENT, AUDIENCE = "before-llama-stack", "app", "llama-stack"


@asynccontextmanager
async def realm(keycloak: Keycloak) -> AsyncIterator[Users]:
    """Have the realm at a running Keycloak for a block."""
    passwords = new_passwords()
    async with temporary_realm(keycloak, representation(passwords)):
        yield Users(keycloak.tls, passwords, NAME, CLIENT)


def representation(passwords: dict[str, str]) -> dict[str, Any]:
    """Return the realm as Keycloak imports it.  Pure."""
    client = {"clientId": CLIENT, "publicClient": True, "redirectUris": [REDIRECT]}
    return realm_of(NAME, [client | {"protocolMappers": [audience(AUDIENCE)]}], passwords)
