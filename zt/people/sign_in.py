"""Signs a person in at a system that should be running."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

import httpx

from zerotrust.limits.answers import SECONDS
from zt.errors import STARTED_BY, CommandError, not_running
from zt.people.authorities import POLICY_AUTHORITY, REGISTRY, Place
from zt.people.authority_client import AuthorityClient, claims
from zt.people.client import user_client
from zt.people.kept import Keeper
from zt.people.login import Client, Login, LoginError, SignIn, sign_out

C = TypeVar("C", bound=AuthorityClient)


def client_at(issuer: str, client_id: str, scope: str, *, ca: Path) -> Client:
    """Return a client of a system that should be running, with trust in its CA (PEM).  Raises `CommandError`."""
    try:
        return Client(issuer, client_id, scope, ssl.create_default_context(cafile=ca))
    except FileNotFoundError as error:
        raise CommandError(f"There is no {ca}: is the system running? {STARTED_BY}", "not_running") from error
    except OSError as error:  # `ssl.SSLError` is one
        why = f"{ca} cannot be read as a certificate authority in PEM ({error})."
        raise CommandError(why, "authority_unreadable") from error


async def sign_in_at(client: Client, way: SignIn) -> Login:
    """Sign a person in, this way.  Raises `CommandError`, also if Keycloak is not running."""
    try:
        return await way(client)
    except LoginError as error:
        raise CommandError(f"Nobody was signed in: {error}.", "not_signed_in") from error
    except (httpx.HTTPError, OSError) as error:
        raise not_running("Keycloak", client.issuer, error) from error


@asynccontextmanager
async def operator_session(kind: type[C], place: Place, way: SignIn, expected: str = "") -> AsyncIterator[C]:
    """Give a client of an authority to an operator, who signs in this way unless an earlier sign-in still serves.

    The sign-in is kept for further commands; where there is no place for it, it ends with the block.  Raises
    `CommandError`, also if somebody else than `expected` signed in.
    """
    address = place.address(kind.door)
    client = client_at(place.issuer, kind.door.client, kind.door.scope, ca=place.ca)
    keeper, kept = Keeper(client), False

    async def resume_or_sign_in(client: Client) -> Login:
        nonlocal kept
        login = await keeper.resume(expected)
        kept = login is not None
        return login or await way(client)

    login = await sign_in_at(client, resume_or_sign_in)
    try:
        user = name_of(login.access_token)
        if expected and user != expected.lower():
            why = f"{user} signed in, not {expected}: nothing was done.  Sign in as {expected}, or give --user {user}."
            raise CommandError(why, "not_signed_in")
        kept = kept or keeper.keep(user, login)
        async with user_client(place.directory, place.ca, seconds=SECONDS) as http:
            yield kind(address, http, user, login.auth)
    finally:
        # If Keycloak is down by now, the command still took effect, and nobody has the tokens any more.
        with suppress(LoginError, httpx.HTTPError, OSError):
            if not kept:
                await sign_out(client, login)


async def end_sign_ins(place: Place) -> list[str]:
    """Sign out at Keycloak, and delete what sign-ins have left here.  Return who was signed in, for each client.

    Raises `CommandError`, also if Keycloak did not confirm it; the files are deleted then, too.
    """
    ended, failed, unfit = list[str](), list[str](), list[CommandError]()
    for door in REGISTRY, POLICY_AUTHORITY:
        try:
            if user := await Keeper(client_at(place.issuer, door.client, door.scope, ca=place.ca)).end():
                ended.append(f"{user} at {door.called}")
        except (LoginError, httpx.HTTPError, OSError) as error:
            failed.append(str(error) or type(error).__name__)
        except CommandError as error:  # the other file is deleted all the same
            unfit.append(error)
    if unfit:
        raise unfit[0]
    if failed:
        why = f"The files are deleted, but Keycloak did not confirm the sign-out ({'; '.join(failed)})"
        raise CommandError(f"{why}: the sign-in ends by itself after 15 minutes.", "keycloak_unconfirmed")
    return ended


def name_of(token: str) -> str:
    """Return who signed in.  The signature need not be verified: the token came from the issuer itself, over TLS."""
    try:
        return str(claims(token)["preferred_username"])
    except (ValueError, IndexError, KeyError) as error:
        raise CommandError(f"Keycloak's token does not name the user ({error}).", "not_signed_in") from error
