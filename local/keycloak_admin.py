"""The client of Keycloak's Admin API."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import keycloak as python_keycloak

from local.keycloak_options import URL


@asynccontextmanager
async def administration(
    admin: tuple[str, str], realm: str, tls: ssl.SSLContext
) -> AsyncIterator[python_keycloak.KeycloakAdmin]:
    """Yield python-keycloak's client of the Admin API for a realm; `admin`: the administrator's name and password."""
    connection = python_keycloak.KeycloakOpenIDConnection(
        server_url=URL,
        username=admin[0],
        password=admin[1],
        realm_name=realm,
        user_realm_name="master",
        verify=tls,  # type: ignore[arg-type] # handed on to httpx, which wants just that
    )
    try:
        yield python_keycloak.KeycloakAdmin(connection=connection)
    finally:
        await connection.keycloak_openid.connection.aclose()
        await connection.aclose()
