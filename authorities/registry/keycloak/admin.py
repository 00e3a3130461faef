"""The registry's client of Keycloak's Admin API: disables clients and users, ends sessions, and reads events.

It acts for no user: it has a token of its own, which it gets with its JWT-SVID (`client_credentials`, RFC 6749 section
4.4).
The realm gives that token the right to read events, manage users and manage clients.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from keycloak import (
    KeycloakAdmin,
    KeycloakConnectionError,
    KeycloakDeleteError,
    KeycloakError,
    KeycloakOpenIDConnection,
)
from keycloak.exceptions import raise_error_from_response

from zerotrust.decision import Denied
from zerotrust.issuer.client import Assertions, IssuerClient
from zerotrust.issuer.discovery import Discovery
from zerotrust.limits.answers import SECONDS

# `OSError`: if Keycloak refuses our certificate, the error comes while its answer is read, and httpx does not wrap it.
_NO_ANSWER = (Denied, KeycloakError, httpx.HTTPError, OSError, ValueError, TypeError, LookupError, RecursionError)

_ID = re.compile(r"[\w-]+", re.ASCII)


class AdministrationError(Exception):
    """Keycloak could not be reached, or refused.  The text says why."""


class UnknownError(AdministrationError):
    """Keycloak has nothing with that id."""


class Administration:
    """Carries out the registry's decisions at Keycloak.  One per process: it keeps a token and a connection."""

    def __init__(self, issuer: str, assertions: Assertions, *, http: httpx.AsyncClient) -> None:
        """`assertions` authenticates this party; `http` is the client of the issuer, and closed with this.

        A client with a certificate has to reconnect before that expires (`zerotrust.runtime.issuer_client`).
        """
        self._connection = _Connection(issuer, assertions, http)
        self._admin = KeycloakAdmin(connection=self._connection)

    async def disable_client(self, client_id: str) -> None:
        """Stop issuing tokens to a client, by any grant.  Raises `AdministrationError`."""
        await self._set_enabled(client_id, enabled=False)

    async def enable_client(self, client_id: str) -> None:
        """Issue tokens to a client again.  Raises `AdministrationError`."""
        await self._set_enabled(client_id, enabled=True)

    async def end_session(self, session: str) -> None:
        """End a session, for which Keycloak sends the logout tokens.

        Raises `AdministrationError`, and `UnknownError` if no session has that id, or can have it.
        """
        if not _ID.fullmatch(session):  # it becomes a part of a path, where `..` would lead elsewhere
            raise UnknownError("no session has such an id")
        async with self.asking() as admin:
            path = f"admin/realms/{admin.connection.realm_name}/sessions/{session}"
            if (answer := await admin.connection.a_raw_delete(path)).status_code == 404:
                raise UnknownError("it has no such session: it has ended already, or its id has a typo")
            raise_error_from_response(answer, KeycloakDeleteError, expected_codes=[204])

    async def disable_user(self, user: str) -> None:
        """Prevent a user, by id, from signing in, and end their sessions.  Raises `AdministrationError`."""
        async with self.asking() as admin:
            try:
                await admin.a_update_user(user, {"enabled": False})
            except KeycloakError as error:
                if error.response_code == 404:
                    raise UnknownError(f"it has no user {user}") from error
                raise
            await admin.a_user_logout(user)

    async def enable_user(self, user: str) -> None:
        """Allow a user, by id, to sign in again.  Raises `AdministrationError`."""
        async with self.asking() as admin:
            await admin.a_update_user(user, {"enabled": True})

    async def user_id(self, name: str) -> str | None:
        """Return the id of the user of that name, or None.  Raises `AdministrationError`."""
        async with self.asking() as admin:
            found: str | None = await admin.a_get_user_id(name)
            return found

    async def identity(self, client_id: str) -> str:
        """Return Keycloak's own id of a client, which is new after each import.  Raises `AdministrationError`."""
        async with self.asking() as admin:
            found = await admin.a_get_client_id(client_id)
            if found is None:
                raise UnknownError(f"it has no client {client_id}")
            return str(found)

    async def _set_enabled(self, client_id: str, *, enabled: bool) -> None:
        async with self.asking() as admin:
            await admin.a_update_client(await self.identity(client_id), {"enabled": enabled})

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[KeycloakAdmin]:
        """Yield python-keycloak's client of the Admin API, for a block that takes 10 s at most.

        Any error of Keycloak in the block is raised as `AdministrationError`.
        """
        try:
            async with asyncio.timeout(SECONDS):
                yield self._admin
        except TimeoutError as error:
            raise AdministrationError(f"Keycloak gave no answer within {SECONDS} s") from error
        except _NO_ANSWER as error:
            raise AdministrationError(f"Keycloak: {str(error) or type(error).__name__}"[:300]) from error

    async def aclose(self) -> None:
        await self._connection.aclose()


class _Connection(KeycloakOpenIDConnection):
    """python-keycloak's connection, with its own way to get a token, before the old one expires."""

    def __init__(self, issuer: str, assertions: Assertions, http: httpx.AsyncClient) -> None:
        self._issuer = IssuerClient(Discovery(issuer, http=http), assertions, http)
        server, _, realm = issuer.rpartition("/realms/")
        super().__init__(
            server_url=server,
            realm_name=realm,
            timeout=SECONDS,
            # Its own client is replaced, and trusts no authority: it would keep connections with an old certificate.
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # type: ignore[arg-type] # passed to httpx, which takes it
        )
        self.async_s = http
        self._renewing = asyncio.Lock()

    async def a_raw_get(self, *args: Any, **kwargs: Any) -> httpx.Response:
        """Do the same, but retry once if the connection breaks: a GET is idempotent (RFC 9110 section 9.2.2)."""
        try:
            return await super().a_raw_get(*args, **kwargs)
        except KeycloakConnectionError:
            return await super().a_raw_get(*args, **kwargs)

    async def a_get_token(self) -> None:
        """Get a token, unless a concurrent request has just got one."""
        spent = self.token
        async with self._renewing:
            if self.token is spent:
                await self._new_token()

    async def _new_token(self) -> None:
        status, content = await self._issuer.post("token_endpoint", {"grant_type": "client_credentials"})
        if status != 200:
            raise ValueError(f"no token: {status}, {content.get('error')}: {content.get('error_description')}")
        self.token = {"access_token": content["access_token"], "expires_in": content["expires_in"]}
