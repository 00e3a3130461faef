"""The registry's hand at Keycloak: who is revoked loses client, account or session there, and `poll.py` reads events.

It acts for no user, by a token of its own that it gets with its JWT-SVID (`client_credentials`, RFC 6749 section 4.4).
What that token may do is in the realm: read events, manage users, manage clients.
"""

import asyncio
import json
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
from zerotrust.issuer.discovery import Discovery
from zerotrust.issuer.exchange import CLIENT_ASSERTION, Assertions
from zerotrust.limits.answers import MAX_ANSWER, SECONDS, ask
from zerotrust.spiffe.workload import WorkloadError

# `OSError`: a certificate that Keycloak refuses is told while its answer is read, and httpx lets that through.
_NO_ANSWER = (Denied, KeycloakError, httpx.HTTPError, OSError, ValueError, TypeError, LookupError, RecursionError)

_ID = re.compile(r"[\w-]+", re.ASCII)


class AdministrationError(Exception):
    """Keycloak could not be told, or would not do it.  The text says why."""


class UnknownError(AdministrationError):
    """Keycloak knows nobody of that id."""


class Administration:
    """Tells Keycloak what the registry has decided.  One per process: it keeps a token and a connection."""

    def __init__(self, issuer: str, assertions: Assertions, *, http: httpx.AsyncClient) -> None:
        """`assertions` proves who we are; `http` is for the issuer, and closed with this.

        One that shows a certificate has to make new connections before it ends (`zerotrust.runtime.issuer_client`).
        """
        self._connection = _Connection(issuer, assertions, http)
        self._admin = KeycloakAdmin(connection=self._connection)

    async def disable_client(self, client_id: str) -> None:
        """Let a client get no token any more, by no grant.  Raises `AdministrationError`."""
        await self._set_enabled(client_id, enabled=False)

    async def enable_client(self, client_id: str) -> None:
        """Let it get tokens again.  Raises `AdministrationError`."""
        await self._set_enabled(client_id, enabled=True)

    async def end_session(self, session: str) -> None:
        """End a session, and let everybody be told who asked to be.

        Raises `AdministrationError`, and `UnknownError` where no session has that id, or can have it.
        """
        if not _ID.fullmatch(session):  # it becomes a part of a path, and `..` would lead elsewhere
            raise UnknownError("no session has such an id")
        async with self.asking() as admin:
            path = f"admin/realms/{admin.connection.realm_name}/sessions/{session}"
            if (answer := await admin.connection.a_raw_delete(path)).status_code == 404:
                raise UnknownError("it has no such session: that one has ended already, or its id has a typo")
            raise_error_from_response(answer, KeycloakDeleteError, expected_codes=[204])

    async def disable_user(self, user: str) -> None:
        """Let a user, by id, sign in no more, and end their sessions.  Raises `AdministrationError`."""
        async with self.asking() as admin:
            try:
                await admin.a_update_user(user, {"enabled": False})
            except KeycloakError as error:
                if error.response_code == 404:
                    raise UnknownError(f"it has no user {user}") from error
                raise
            await admin.a_user_logout(user)

    async def enable_user(self, user: str) -> None:
        """Let a user sign in again.  Raises `AdministrationError`."""
        async with self.asking() as admin:
            await admin.a_update_user(user, {"enabled": True})

    async def user_id(self, name: str) -> str | None:
        """The id of the user of that name, if there is one.  Raises `AdministrationError`."""
        async with self.asking() as admin:
            found: str | None = await admin.a_get_user_id(name)
            return found

    async def identity(self, client_id: str) -> str:
        """Keycloak's own id of a client, which each import makes anew.  Raises `AdministrationError`."""
        async with self.asking() as admin:
            found = await admin.a_get_client_id(client_id)
            if found is None:
                raise UnknownError(f"it has no client {client_id}")
            return str(found)

    async def _set_enabled(self, client_id: str, *, enabled: bool) -> None:
        async with self.asking() as admin:
            known_as = await admin.a_get_client_id(client_id)
            if known_as is None:
                raise UnknownError(f"it has no client {client_id}")
            await admin.a_update_client(known_as, {"enabled": enabled})

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[KeycloakAdmin]:
        """Give python-keycloak's administration of the realm for a block that takes 10 s at most.

        Whatever goes wrong at Keycloak in it is raised as `AdministrationError`.
        """
        try:
            async with asyncio.timeout(SECONDS):
                yield self._admin
        except TimeoutError as error:
            raise AdministrationError(f"Keycloak gave no answer within {SECONDS} s") from error
        except WorkloadError as error:
            raise AdministrationError(f"no identity to show to Keycloak: {error}") from error
        except _NO_ANSWER as error:
            raise AdministrationError(f"Keycloak: {str(error) or type(error).__name__}"[:300]) from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connection.aclose()


class _Connection(KeycloakOpenIDConnection):
    """python-keycloak's connection, with our own way to a token: it asks for one before the old one ends."""

    def __init__(self, issuer: str, assertions: Assertions, http: httpx.AsyncClient) -> None:
        self._issuer, self._assertions = Discovery(issuer, http=http), assertions
        server, _, realm = issuer.rpartition("/realms/")
        super().__init__(
            server_url=server,
            realm_name=realm,
            timeout=SECONDS,
            # Its own client is replaced, and trusts nobody: it would keep a connection until its certificate ends.
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # type: ignore[arg-type] # passed to httpx, which takes it
        )
        self.async_s = http
        self._renewing = asyncio.Lock()

    async def a_raw_get(self, *args: Any, **kwargs: Any) -> httpx.Response:
        """The same, but asked once more where the connection breaks: a GET (RFC 9110 section 9.2.2) may be repeated."""
        try:
            return await super().a_raw_get(*args, **kwargs)
        except KeycloakConnectionError:
            return await super().a_raw_get(*args, **kwargs)

    async def a_get_token(self) -> None:
        """Get a token, unless another question that found the old one spent has got one meanwhile."""
        spent = self.token
        async with self._renewing:
            if self.token is spent:
                await self._new_token()

    async def _new_token(self) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": CLIENT_ASSERTION,
            "client_assertion": await self._assertions.assertion(self._issuer.issuer),
        }
        url = (await self._issuer.metadata()).token_endpoint
        status, answer = await ask(self.async_s, "POST", url, most=MAX_ANSWER, data=form)
        content = json.loads(answer)
        if not isinstance(content, dict):
            raise ValueError(f"no token, but status {status} and something else")
        if status != 200:
            raise ValueError(f"no token: {status}, {content.get('error')}: {content.get('error_description')}")
        self.token = {"access_token": content["access_token"], "expires_in": content["expires_in"]}
