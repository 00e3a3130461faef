"""Signs a person in as a browser would: authorization code with PKCE (RFC 7636), form filled in, redirect caught.

It needs no listener: it takes the code from the redirect's address, and does not follow the redirect.
"""

import base64
import hashlib
import html
import re
import secrets
import ssl
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import httpx

from zerotrust.issuer.discovery import Metadata, UntrustedMetadata, discover

REDIRECT = "http://127.0.0.1:8000/callback"
"""The only redirect URI; no other address, no wildcard (RFC 9700 section 4.1)."""

SECONDS_TO_SIGN_OUT = 5
"""The command has been carried out by then; a session that is not ended now expires by itself."""


class LoginError(Exception):
    """The sign-in failed.  The text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The answer of the token endpoint.  Never print the tokens."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    id_token: str | None = field(repr=False)
    """Present only if the scope has `openid`."""
    expires_in: int
    """Seconds."""


async def sign_in(  # noqa: PLR0913 - who, where, for what
    issuer: str, client_id: str, username: str, password: str, scope: str, *, verify: ssl.SSLContext
) -> Login:
    """Sign the user in at a public client and return the tokens.

    `scope` is separated by spaces; `verify` trusts the issuer's CA.
    Raises `LoginError`, also if the password is wrong, and `httpx.TransportError`.
    """
    verifier = secrets.token_urlsafe(48)
    state = secrets.token_urlsafe(16)
    request = {
        "client_id": client_id,
        "response_type": "code",
        "redirect_uri": REDIRECT,
        "scope": scope,
        "state": state,
        "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    # A proxy from the environment must not be used for a server on this machine.
    async with httpx.AsyncClient(verify=verify, trust_env=False, timeout=30) as client:
        metadata = await _metadata(issuer, client, "authorization_endpoint", "token_endpoint")
        page = await client.get(metadata.authorization_endpoint, params=request)
        answer = await _fill_in_form(client, page, username, password)
        code = _code(answer, issuer, state)
        form = {
            "grant_type": "authorization_code",
            "client_id": client_id,
            "code": code,
            "redirect_uri": REDIRECT,
            "code_verifier": verifier,
        }
        tokens = await client.post(metadata.token_endpoint, data=form)
    if tokens.status_code != 200:
        raise LoginError(f"the code was not exchanged for a token: {tokens.text}")
    found = tokens.json()
    return Login(
        access_token=found["access_token"],
        refresh_token=found["refresh_token"],
        id_token=found.get("id_token"),
        expires_in=found["expires_in"],
    )


async def sign_out(issuer: str, client_id: str, login: Login, *, verify: ssl.SSLContext) -> None:
    """End the session of a sign-in, and so all its tokens.

    Raises `LoginError` if Keycloak refuses, and `httpx.TransportError`.
    """
    form = {"client_id": client_id, "refresh_token": login.refresh_token}
    async with httpx.AsyncClient(verify=verify, trust_env=False, timeout=SECONDS_TO_SIGN_OUT) as client:
        metadata = await _metadata(issuer, client, "end_session_endpoint")
        answer = await client.post(metadata.end_session_endpoint, data=form)
    if answer.status_code != 204:
        raise LoginError(f"the session did not end: status {answer.status_code}")


async def _metadata(issuer: str, client: httpx.AsyncClient, *needed: str) -> Metadata:
    try:
        return await discover(issuer, client, *needed)
    except UntrustedMetadata as error:
        raise LoginError(f"{issuer} cannot be trusted: {error}") from error


async def _fill_in_form(
    client: httpx.AsyncClient, page: httpx.Response, username: str, password: str
) -> httpx.Response:
    """Send name and password; return the redirect unchanged if Keycloak refused before it asked for them."""
    if page.is_redirect:
        return page
    form = re.search(r'<form[^>]* action="([^"]+)"', page.text)
    if not form:
        raise LoginError(f"no login form, but: {_message(page)}")
    answer = await client.post(html.unescape(form[1]), data={"username": username, "password": password})
    if not answer.is_redirect:
        raise LoginError(f"{username} was not signed in: {_message(answer)}")
    return answer


def _code(answer: httpx.Response, issuer: str, state: str) -> str:
    """Return the authorization code of the redirect, if it answers our request.  Raises `LoginError`."""
    location = answer.headers["Location"]
    if location.partition("?")[0] != REDIRECT:
        raise LoginError(f"Keycloak requires another step first: {location.partition('?')[0]}")
    back = {name: values[-1] for name, values in parse_qs(urlsplit(location).query).items()}
    if back.get("state") != state or back.get("iss") != issuer:  # RFC 6749 section 10.12, RFC 9207 section 2.4
        raise LoginError("the answer belongs to another request or another issuer")
    if "code" not in back:
        raise LoginError(f"{back.get('error')}: {back.get('error_description')}")
    return back["code"]


def _message(page: httpx.Response) -> str:
    """Return the message on an HTML page of Keycloak, if it can be found."""
    found = re.search(
        r'(?:id="input-error-\w+"|class="instruction"|kc-feedback-text")[^>]*>\s*(?:<[^>]+>)?([^<]+)', page.text
    )
    return html.unescape(found[1]).strip() if found else f"status {page.status_code}"
