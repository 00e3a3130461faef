"""Signs a person in as a browser would: authorization code with PKCE (RFC 7636), form filled in, redirect caught.

No listener is needed: the code is taken from the redirect's address, which is never followed.
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
"""Where a login ends; no other address, no wildcard (RFC 9700 section 4.1)."""

SECONDS_TO_SIGN_OUT = 5
"""What was asked for is done by then; a session that is not ended now ends by itself."""


class LoginError(Exception):
    """The sign-in did not end with a token.  The text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What the token endpoint answered.  Tokens are for use, never to print."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    id_token: str | None = field(repr=False)
    """Only where the scope held `openid`."""
    expires_in: int
    """Seconds."""


async def sign_in(  # noqa: PLR0913 - who, where, for what
    issuer: str, client_id: str, username: str, password: str, scope: str, *, verify: ssl.SSLContext
) -> Login:
    """Sign the user in at a public client and return the tokens.

    `scope` is separated by spaces; `verify` trusts the issuer's CA.
    Raises `LoginError`, also when the password is wrong, and `httpx.TransportError`.
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
    # A proxy from the environment has no business on the way to this machine.
    async with httpx.AsyncClient(verify=verify, trust_env=False, timeout=30) as client:
        its = await _metadata(issuer, client)
        page = await client.get(its.authorization_endpoint, params=request)
        answer = await _fill_in_form(client, page, username, password)
        code = _code(answer, issuer, state)
        form = {
            "grant_type": "authorization_code",
            "client_id": client_id,
            "code": code,
            "redirect_uri": REDIRECT,
            "code_verifier": verifier,
        }
        tokens = await client.post(its.token_endpoint, data=form)
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
    """End the session that a sign-in began, and with it all its tokens.

    Raises `LoginError` where Keycloak does not, and `httpx.TransportError`.
    """
    form = {"client_id": client_id, "refresh_token": login.refresh_token}
    async with httpx.AsyncClient(verify=verify, trust_env=False, timeout=SECONDS_TO_SIGN_OUT) as client:
        answer = await client.post((await _metadata(issuer, client)).end_session_endpoint, data=form)
    if answer.status_code != 204:
        raise LoginError(f"the session did not end: status {answer.status_code}")


async def _metadata(issuer: str, client: httpx.AsyncClient) -> Metadata:
    try:
        return await discover(issuer, client)
    except UntrustedMetadata as error:
        raise LoginError(f"{issuer} is not to be trusted: {error}") from error


async def _fill_in_form(
    client: httpx.AsyncClient, page: httpx.Response, username: str, password: str
) -> httpx.Response:
    """Send name and password, or pass on the redirect where Keycloak refused before it asked."""
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
    """Return the authorization code from the redirect back to us, if it is the answer to our question."""
    location = answer.headers["Location"]
    if location.partition("?")[0] != REDIRECT:
        raise LoginError(f"Keycloak wants something else first: {location.partition('?')[0]}")
    back = {name: values[-1] for name, values in parse_qs(urlsplit(location).query).items()}
    if back.get("state") != state or back.get("iss") != issuer:  # RFC 6749 section 10.12, RFC 9207 section 2.4
        raise LoginError("the answer belongs to another request or another issuer")
    if "code" not in back:
        raise LoginError(f"{back.get('error')}: {back.get('error_description')}")
    return back["code"]


def _message(page: httpx.Response) -> str:
    """Return what an HTML page of Keycloak tells the user, as far as it can be found."""
    found = re.search(
        r'(?:id="input-error-\w+"|class="instruction"|kc-feedback-text")[^>]*>\s*(?:<[^>]+>)?([^<]+)', page.text
    )
    return html.unescape(found[1]).strip() if found else f"status {page.status_code}"
