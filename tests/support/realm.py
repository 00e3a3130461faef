"""Talks to a realm as its parties do, without any of our own clients in between: what Keycloak refuses, it refuses."""

import ssl
from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt

from testkit.browser import REDIRECT, Person
from zt.people.key import Key

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
TOKEN_TYPE = "urn:ietf:params:oauth:token-type:"
SPIFFE = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"


SERVER = "llamastack"
"""A server outside that takes tokens."""


class Realm:
    """One realm of the running Keycloak."""

    def __init__(self, issuer: str, http: httpx.AsyncClient, assertion_for: Callable[[str], str], domain: str) -> None:
        self.issuer = issuer
        self.endpoint = f"{issuer}/protocol/openid-connect"
        self.http = http
        self._assertion_for = assertion_for
        self._domain = domain

    def id(self, party: str) -> str:
        """A workload's SPIFFE ID; the client ID of a server outside."""
        return party if party == SERVER else f"spiffe://{self._domain}/{party}"

    def credential(self, party: str) -> dict[str, str]:
        """What a workload authenticates with."""
        return {"client_assertion_type": SPIFFE, "client_assertion": self._assertion_for(party)}

    async def token(self, key: Key | None = None, /, **form: Any) -> httpx.Response:
        """Ask the token endpoint, with a proof of this key (RFC 9449 section 5)."""
        url = f"{self.endpoint}/token"
        return await self.http.post(url, data=form, headers={"dpop": key.prove("POST", url)} if key else {})

    def form(self, party: str, token: str, *, audience: str | None, scope: str | None) -> dict[str, Any]:
        """The request of a workload that exchanges a token (RFC 8693 section 2.1)."""
        form = {
            "grant_type": EXCHANGE,
            "subject_token": token,
            "subject_token_type": f"{TOKEN_TYPE}access_token",
            "requested_token_type": f"{TOKEN_TYPE}access_token",
            **self.credential(party),
        }
        wanted = {"audience": audience and self.id(audience), "scope": scope}
        return form | {name: value for name, value in wanted.items() if value is not None}

    async def exchange(
        self, party: str, token: str, *, audience: str | None, scope: str | None, **more: str
    ) -> httpx.Response:
        """Exchange a token as a workload; `more` changes or adds form fields."""
        return await self.token(**self.form(party, token, audience=audience, scope=scope) | more)

    async def exchanged(self, party: str, token: str, *, audience: str, scope: str, **more: str) -> str:
        """The same, where it must succeed: returns the access token."""
        answer = await self.exchange(party, token, audience=audience, scope=scope, **more)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    async def introspected(self, party: str, token: str) -> dict[str, Any]:
        """What Keycloak answers a workload that asks about a token (RFC 7662)."""
        answer = await self.http.post(
            f"{self.endpoint}/token/introspect", data={"token": token, **self.credential(party)}
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


def claims(token: str) -> dict[str, Any]:
    """What a token says; nobody asks here who signed it."""
    return dict(jwt.decode(token, options={"verify_signature": False}))


def dead(answer: httpx.Response) -> bool:
    """Whether the answer brought no token, or one that has ended before it began."""
    return answer.status_code != 200 or claims(answer.json()["access_token"])["exp"] == 1


def chain(*actors: str) -> dict[str, Any] | None:
    """The `act` claim of these actors, the current one first."""
    act: dict[str, Any] | None = None
    for actor in reversed(actors):
        act = {"sub": actor} | ({"act": act} if act else {})
    return act


VERIFIER = "v" * 43
"""Of PKCE (RFC 7636); whoever makes a link chooses it."""


def asked_at(client: str, scope: str) -> dict[str, str]:
    """The authorization request of a public client, as a link may carry it (RFC 6749 section 4.1.1)."""
    return {
        "client_id": client,
        "response_type": "code",
        "redirect_uri": REDIRECT,
        "scope": scope,
        "code_challenge": urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }


def code_in(answer: httpx.Response) -> str | None:
    """The code that a redirect carries, if it carries one."""
    found = parse_qs(urlsplit(answer.headers.get("Location", "")).query).get("code", [])
    return found[0] if found else None


async def code_of(person: Person, realm: Realm, tls: ssl.SSLContext, asked: dict[str, str]) -> str | None:
    """The code that such a request brings once this person has signed in, in a browser of their own."""
    async with httpx.AsyncClient(base_url=realm.endpoint, verify=tls, trust_env=False, timeout=30) as browser:
        page = await browser.get("/auth", params=asked)
        return code_in(await person.confirm(browser, await person.fill_in(browser, page)))


def redeeming(client: str, code: str) -> dict[str, str]:
    """The form that redeems the code of such a request (RFC 6749 section 4.1.3)."""
    return {
        "grant_type": "authorization_code",
        "client_id": client,
        "code": code,
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
    }
