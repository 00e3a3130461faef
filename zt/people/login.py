"""Signs a person in at Keycloak: the common part of signing in by browser (`browser.py`) and by code (`device.py`).

Both bind the sign-in to this process by PKCE (RFC 7636, S256), whose verifier goes to the token endpoint alone, and its
tokens by a key (DPoP, RFC 9449), which goes nowhere.
"""

import asyncio
import os
import secrets
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

import httpcore
import httpx

from zerotrust.issuer.discovery import Metadata, UntrustedMetadata, discover
from zerotrust.limits.answers import MAX_ANSWER, ask
from zerotrust.limits.strict_json import strict_object
from zerotrust.possession import hashed
from zerotrust.registry.snapshot import Endpoint
from zt.people.key import BoundToken, Key

SECONDS_TO_SIGN_OUT = 5
"""The command has been carried out by then; a session that is not ended now expires by itself."""
SIGNED_OUT = "http://127.0.0.1:8000/callback"
"""Where Keycloak leads after a sign-out: an address that is registered for each client of ours.  Nobody listens."""
MOST_PARAMETERS = 16
"""Parameters of a redirect; it has four."""
MOST_TOLD = 200
"""Characters of a refusal."""

_REFUSALS = {
    *("invalid_request", "unauthorized_client", "access_denied", "unsupported_response_type", "invalid_scope"),
    *("server_error", "temporarily_unavailable"),
    *("interaction_required", "login_required", "account_selection_required", "consent_required"),
}
"""In a redirect: RFC 6749 section 4.1.2.1, and OpenID Connect Core 1.0 section 3.1.2.6."""


class LoginError(Exception):
    """The sign-in failed.  The text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The answer of the token endpoint.  Never print the tokens."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    id_token: str = field(repr=False)
    expires_in: int
    """Seconds."""
    key: Key = field(repr=False)
    """Both tokens are bound to it."""

    @property
    def auth(self) -> BoundToken:
        """The credentials of a request, as the argument `auth` of httpx."""
        return BoundToken(self.key, self.access_token)


@dataclass(frozen=True, slots=True)
class Client:
    """A public client of an issuer, and the scopes that it asks for, separated by spaces."""

    issuer: str
    client_id: str
    scope: str
    tls: ssl.SSLContext
    """It trusts the issuer's CA."""

    @property
    def asked(self) -> dict[str, str]:
        """The parameters of a request that begins a sign-in; `openid` brings the ID token that ends it."""
        return {"client_id": self.client_id, "scope": f"openid {self.scope}".rstrip()}

    def http(self) -> httpx.AsyncClient:
        """Return an HTTP client for the issuer."""
        return issuer_http(self.tls)


def issuer_endpoint() -> Endpoint | None:
    """Return where to connect to for the issuer, if its name does not lead there: `ZT_ISSUER_AT`, `https://host:port`."""
    at = httpx.URL(os.environ.get("ZT_ISSUER_AT", ""))
    return (at.host, at.port or 443) if at.host else None


def issuer_http(tls: ssl.SSLContext) -> httpx.AsyncClient:
    """Return an HTTP client for the issuer, whose name `tls` verifies wherever it is.

    A proxy of the environment has no part in it.
    """
    transport = httpx.AsyncHTTPTransport(verify=tls, trust_env=False)
    if at := issuer_endpoint():
        transport._pool._network_backend = _FixedEndpoint(at)  # httpx has no other way
    return httpx.AsyncClient(transport=transport, trust_env=False, timeout=30)


class _FixedEndpoint(httpcore.AnyIOBackend):
    """Connects to one endpoint, whatever the name is that has to be proven there."""

    def __init__(self, at: Endpoint) -> None:
        self._at = at

    async def connect_tcp(self, host: str, port: int, *more: Any, **named: Any) -> httpcore.AsyncNetworkStream:  # noqa: ARG002
        return await super().connect_tcp(*self._at, *more, **named)


Say = Callable[[str, Mapping[str, Any]], None]
"""Tells a person what to do now: in a text, and in facts for programs."""
SignIn = Callable[[Client], Awaitable[Login]]
"""A way to sign in.  It raises `LoginError` and `httpx.HTTPError`."""


@dataclass(frozen=True, slots=True)
class Pkce:
    """A verifier, which stays here until the tokens are got, and its challenge, by S256."""

    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)

    @property
    def challenge(self) -> dict[str, str]:
        """The parameters of the request that begins a sign-in."""
        return {"code_challenge": hashed(self.verifier), "code_challenge_method": "S256"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An authorization request (RFC 6749 section 4.1.1), and what its answer has to show."""

    client: Client
    redirect: str
    """Where the answer goes."""
    hint: str = ""
    """The name of the person who is expected, for the form."""
    state: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)
    pkce: Pkce = field(default_factory=Pkce)
    key: Key = field(default_factory=Key, repr=False)

    def address(self, metadata: Metadata) -> str:
        """Return the address to open in a browser."""
        asked = {
            **self.client.asked,
            "response_type": "code",
            "redirect_uri": self.redirect,
            "state": self.state,
            **self.pkce.challenge,
            "dpop_jkt": self.key.thumbprint,  # the code is for the holder of this key (RFC 9449 section 10)
            **({"login_hint": self.hint} if self.hint else {}),
        }
        return f"{metadata.authorization_endpoint}?{urlencode(asked)}"

    def code(self, query: str) -> str | None:
        """Return the code in the query of a redirect, or None if that answers another request.

        Raises `LoginError` if the issuer refused, or if it is another issuer.
        """
        try:
            given = parse_qs(query, max_num_fields=MOST_PARAMETERS)
        except ValueError:
            return None
        back = {name: values[0] for name, values in given.items() if len(values) == 1}
        # RFC 6749 section 10.12: a page of somebody else can send the browser here as well.
        if not secrets.compare_digest(back.get("state", "").encode(), self.state.encode()):  # control: redirect-state
            return None
        if back.get("iss") != self.client.issuer:  # control: redirect-issuer
            raise LoginError(f"the answer in the browser is of another issuer than {self.client.issuer} (RFC 9207)")
        if "code" not in back:
            # No text of a redirect reaches the terminal: anybody who knows the state can send one.
            why = back["error"] if back.get("error") in _REFUSALS else "it gave no error of RFC 6749"
            if why == "invalid_scope":
                why += f": {self.client.client_id} may not ask for {self.client.scope}"
            raise LoginError(f"Keycloak refused: {why}")
        return back["code"]

    async def redeem(self, http: httpx.AsyncClient, metadata: Metadata, code: str) -> Login:
        """Return the tokens for a code (RFC 6749 section 4.1.3).  Raises `LoginError` and `httpx.HTTPError`."""
        form = {
            "grant_type": "authorization_code",
            "client_id": self.client.client_id,
            "code": code,
            "redirect_uri": self.redirect,
            "code_verifier": self.pkce.verifier,
        }
        status, answer = await post_form(http, metadata.token_endpoint, form, self.key)
        if status != 200:
            raise LoginError(f"the code was not exchanged for a token: {refusal(answer)}")
        return parse_login(answer, self.key)


async def sign_out(client: Client, login: Login) -> None:
    """End the session of a sign-in, and so all its tokens (OpenID Connect RP-Initiated Logout 1.0).

    Raises `LoginError` if Keycloak refuses, `TimeoutError` after `SECONDS_TO_SIGN_OUT`, and `httpx.TransportError`.
    """
    form = {"client_id": client.client_id, "id_token_hint": login.id_token, "post_logout_redirect_uri": SIGNED_OUT}
    async with asyncio.timeout(SECONDS_TO_SIGN_OUT), client.http() as http:
        metadata = await endpoints(client, http, "end_session_endpoint")
        async with http.stream("POST", metadata.end_session_endpoint, data=form) as answer:
            if answer.headers.get("location") != SIGNED_OUT:  # a page may ask for a confirmation
                raise LoginError(f"the session did not end: status {answer.status_code}")


async def endpoints(client: Client, http: httpx.AsyncClient, *needed: str) -> Metadata:
    """Return the issuer's metadata, with the endpoints of these names.  Raises `LoginError` and `httpx.HTTPError`."""
    try:
        return await discover(client.issuer, http, *needed)
    except UntrustedMetadata as error:
        raise LoginError(f"{client.issuer} cannot be trusted: {error}") from error


async def post_form(
    http: httpx.AsyncClient, url: str, form: Mapping[str, str], key: Key | None = None
) -> tuple[int, dict[str, Any]]:
    """Send a form, with a proof of `key` where tokens are asked for, and return status and JSON of the answer.

    Raises `LoginError` if that is no JSON object, and `httpx.HTTPError`.
    """
    status = 0
    headers = {"dpop": key.prove("POST", url)} if key else {}
    try:
        status, answer = await ask(http, "POST", url, most=MAX_ANSWER, headers=headers, data=form)
        return status, strict_object(answer)
    except ValueError as error:
        raise LoginError(f"Keycloak did not answer with JSON (status {status}; {error})") from error


def parse_login(answer: Mapping[str, Any], key: Key) -> Login:
    """Return the tokens of a token endpoint's answer.

    Raises `LoginError` if some are missing, or if they are not bound to `key` (RFC 9449 section 5).
    """
    try:
        if str(answer["token_type"]).lower() != "dpop":
            raise ValueError("its token is not bound to our key")
        return Login(
            access_token=str(answer["access_token"]),
            refresh_token=str(answer["refresh_token"]),
            id_token=str(answer["id_token"]),
            expires_in=int(answer["expires_in"]),
            key=key,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LoginError(f"Keycloak's answer is not a token answer: {error}") from error


def refusal(answer: Mapping[str, Any]) -> str:
    """Return error and description of a refusal (RFC 6749 section 5.2), in one printable line."""
    given = ": ".join(str(answer[name]) for name in ("error", "error_description") if name in answer) or "no reason"
    return "".join(c if c.isprintable() else " " for c in given[:MOST_TOLD])
