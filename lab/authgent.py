"""authgent-server, as the delegation kit tries it: see docs/how-to/delegation-kit.md for how it is started."""

import base64
import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import httpx

from testkit.delegation import Client, Issuer, Key, SignedIn
from testkit.delegation.issuer import Claims

BASE = "http://127.0.0.1:8000"
REDIRECT = "http://127.0.0.1:8000/callback"
SCOPES = ("read", "write")


def issuer() -> Issuer:
    """Register four agents and a client for the user, and return how they are used."""
    http = httpx.Client(base_url=BASE, timeout=30)
    asked = {"client_name": "shop", "redirect_uris": [REDIRECT], "scope": " ".join(SCOPES)}
    asked |= {"grant_types": ["authorization_code", "refresh_token"], "token_endpoint_auth_method": "none"}
    shop = http.post("/register", json=asked).raise_for_status().json()
    agents = [
        http.post("/agents", json={"name": name, "owner": "sam", "allowed_scopes": list(SCOPES)})
        .raise_for_status()
        .json()
        for name in ("a", "b", "c", "d")
    ]

    @contextmanager
    def client(_said: Claims) -> Iterator[None]:
        http.delete(f"/agents/{agents[0]['id']}").raise_for_status()
        yield
        http.patch(f"/agents/{agents[0]['id']}", json={"status": "active"}).raise_for_status()

    return Issuer(
        http=http,
        metadata=http.get("/.well-known/oauth-authorization-server").raise_for_status().json(),
        clients=[_client(one) for one in agents],
        # Public, so that a key binds its refresh tokens.  authgent lets no public client revoke a token; where a
        # confidential one does, what was exchanged from the token lives on.
        user_client=Client(client_id=shop["client_id"]),
        sign_in=_sign_in,
        scopes=SCOPES,
        revoke={"client": client},  # there are neither sessions nor users that an administrator could end
    )


def _client(registered: dict[str, str]) -> Client:
    name, secret = registered["client_id"], registered["client_secret"]
    return Client(client_id=name, credential=lambda: {"client_secret": secret}, actor=f"client:{name}")


def _sign_in(issuer: Issuer, scope: str, bind: bool) -> SignedIn:  # noqa: FBT001 - as `Issuer.sign_in` is called
    """By code and PKCE; the server consents for the user, as it does by default."""
    verifier, key = secrets.token_urlsafe(48), Key() if bind else None
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {"response_type": "code", "redirect_uri": REDIRECT, "scope": scope, "resource": issuer.clients[0].audience}
    asked |= {"client_id": issuer.user_client.client_id, "code_challenge": challenge, "code_challenge_method": "S256"}
    led = issuer.http.get("/authorize", params=asked).headers["location"]
    code = parse_qs(urlsplit(led).query)["code"][0]
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier, "redirect_uri": REDIRECT}
    answer = issuer.ask(issuer.user_client, key, **form)
    return SignedIn(answer.token, answer.said["refresh_token"], key)
