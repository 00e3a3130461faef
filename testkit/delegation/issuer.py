"""An issuer as the checks see it: what they ask of it, and how they read its answers."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
TOKEN_TYPE = "urn:ietf:params:oauth:token-type:"  # noqa: S105 - the beginning of a name
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
NO_JWT = "the issuer's tokens are not JWTs, and nothing else is read"

Claims = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Client:
    """A client of the issuer."""

    client_id: str
    credential: Callable[[], Mapping[str, str]] = field(default=dict, repr=False)
    """Returns the form fields that authenticate it in one request (RFC 6749 section 2.3.1, RFC 7523 section 2.2)."""
    audience: str = ""
    """The audience of a token for it; by default its id."""
    actor: str = ""
    """Its name in a chain (RFC 8693 section 4.1); by default its id."""

    def __post_init__(self) -> None:
        for name in ("audience", "actor"):
            object.__setattr__(self, name, getattr(self, name) or self.client_id)

    @property
    def form(self) -> dict[str, str]:
        """The fields of one request in which it authenticates."""
        return {"client_id": self.client_id, **self.credential()}


def private_key_jwt(client_id: str, audience: str, key: str, algorithm: str = "RS256") -> Callable[[], dict[str, str]]:
    """Return a client's credential by its private key, in PEM (RFC 7523); `audience` is the issuer."""

    def credential() -> dict[str, str]:
        end = int(time.time()) + 60
        said = {"iss": client_id, "sub": client_id, "aud": audience, "jti": secrets.token_hex(16), "exp": end}
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": jwt.encode(said, key, algorithm)}

    return credential


class Key:
    """A key that the tokens of one sign-in are bound to (DPoP, RFC 9449)."""

    def __init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())
        self.public: dict[str, str] = jwt.algorithms.ECAlgorithm.to_jwk(self._private.public_key(), as_dict=True)

    def prove(self, method: str, url: str) -> str:
        """Return a proof for one request (RFC 9449 section 4.2)."""
        said = {"jti": secrets.token_hex(16), "htm": method, "htu": url, "iat": int(time.time())}
        return jwt.encode(said, self._private, "ES256", headers={"typ": "dpop+jwt", "jwk": self.public})


@dataclass(frozen=True)
class SignedIn:
    """The result of a user's sign-in; `key`, with the method of `Key`, if the tokens are bound to one."""

    access_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    key: Any = field(default=None, repr=False)


def claims(token: str) -> Claims:
    """Return a JWT's claims, and nothing for any other token; the issuer under test signed it."""
    try:
        return dict(jwt.decode(token, options={"verify_signature": False}))
    except jwt.DecodeError:
        return {}


def ended(token: str) -> bool:
    """Return whether a token has expired; only a JWT tells."""
    return bool(claims(token).get("exp", float("inf")) <= time.time())


class Answer:
    """The answer of the token endpoint: true, if that is a token that has not ended; `claims`, if it is a JWT."""

    def __init__(self, response: httpx.Response) -> None:
        self.said: Claims = response.json() if response.status_code == 200 else {}
        self.token = str(self.said.get("access_token", ""))
        self.claims = claims(self.token) if self else {}
        self.refusal = "the token has ended" if self.token else f"{response.status_code} {response.text[:300]}"

    def __bool__(self) -> bool:
        return bool(self.token) and not ended(self.token)


@dataclass(kw_only=True, repr=False)
class Issuer:
    """An issuer, its clients, and a user.  Each client may exchange for the next, the last for the first."""

    http: httpx.Client
    metadata: Mapping[str, Any]
    """`token_endpoint`; `introspection_endpoint` and `revocation_endpoint`, if there are any (RFC 8414 section 2)."""
    clients: Sequence[Client]
    """Two at least.  Four show all that a revoked client ends, and `max_actors` + 1 of them where a chain ends."""
    user_client: Client
    """Where the user signs in.  Its tokens are addressed to the first of `clients`."""
    sign_in: "Callable[[Issuer, str, bool], SignedIn]"
    """Signs the user in for scopes, separated by spaces; if true, with tokens bound to a key, where it can be."""
    scopes: tuple[str, str]
    """Two that the user and every client may ask for.  The checks keep the first, and give up the second."""
    revoke: Mapping[str, Callable[[Claims], AbstractContextManager[object]]] = field(default_factory=dict)
    """How an administrator revokes a `session`, a `user`, the first `client`, until the block ends; called with the
    claims of the user's token."""
    chain_claim: str = "act"
    max_actors: int = 8
    wait: Callable[[float], None] = time.sleep

    def client(self, who: int) -> Client:
        """Return a client by its place in the ring."""
        return self.clients[who % len(self.clients)]

    def user(self, *, bind: bool = False) -> SignedIn:
        """Sign the user in, with both scopes."""
        return self.sign_in(self, " ".join(self.scopes), bind)

    def ask(self, client: Client | None, key: Any = None, /, **form: str) -> Answer:
        """Ask the token endpoint, as a client and with a proof of a key, if they are given."""
        url = self.metadata["token_endpoint"]
        headers = {"DPoP": key.prove("POST", url)} if key else {}
        return Answer(self._post("token_endpoint", (client.form if client else {}) | form, headers))

    def refresh(self, client: Client, token: str, key: Any = None) -> Answer:
        """Refresh (RFC 6749 section 6)."""
        return self.ask(client, key, grant_type="refresh_token", refresh_token=token)

    def exchange(self, who: int, token: str, form: dict[str, str] | None = None, **changed: str | None) -> Answer:
        """Exchange a token for the next client, with the first scope alone (RFC 8693 section 2.1).

        `form`: what the client shows, if not its own.  `changed`: other fields; None leaves one out.
        """
        fields: dict[str, str | None] = {
            "grant_type": EXCHANGE,
            "subject_token": token,
            "subject_token_type": f"{TOKEN_TYPE}access_token",
            "requested_token_type": f"{TOKEN_TYPE}access_token",
            "audience": self.client(who + 1).audience,
            "scope": self.scopes[0],
        }
        fields |= (self.client(who).form if form is None else form) | changed
        answer = self.ask(None, **{name: value for name, value in fields.items() if value is not None})
        if ended(token):
            pytest.fail("the token ended while it was tried: its life is too short for this machine")
        return answer

    def tokens(self, hops: int, first: str = "", who: int = 0) -> list[str]:
        """Return a token, by default the user's, and what it becomes hop by hop, from this client on."""
        tokens = [first or self.user().access_token]
        for asking in range(who, who + hops):
            if not (answer := self.exchange(asking, tokens[-1])):
                pytest.fail(f"no token for {self.client(asking).client_id} in exchange: {answer.refusal}")
            tokens.append(answer.token)
        if not all(claims(token) for token in tokens):
            pytest.skip(NO_JWT)
        return tokens

    def chain(self, said: Claims) -> list[str]:
        """Return the actors that a token names, the current one first."""
        actors, link = [], said.get(self.chain_claim)
        while link is not None:
            actors.append(link["sub"])
            link = link.get("act")
        return actors

    def introspected(self, who: int, token: str) -> Claims:
        """Return a client's introspection of a token (RFC 7662), and nothing for an inactive token."""
        answer = self._post("introspection_endpoint", {"token": token, **self.client(who).form})
        told: Claims = answer.json() if answer.status_code == 200 else {}
        return told if told.get("active") is True else {}

    @contextmanager
    def revoked(self, what: str, token: str) -> Iterator[None]:
        """Revoke what `revoke` names, or the user's token itself (`ancestor`; RFC 7009), until the block ends."""
        if what == "ancestor":
            answer = self._post("revocation_endpoint", {"token": token, **self.user_client.form})
            if answer.status_code != 200:
                pytest.fail(f"the user's token is not revoked: {answer.status_code} {answer.text[:300]}")
            yield
        elif what in self.revoke:
            with self.revoke[what](claims(token)):
                yield
        else:
            pytest.skip(f"the way to revoke a {what} is not configured")

    def _post(self, endpoint: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None) -> httpx.Response:
        if endpoint not in self.metadata:
            pytest.skip(f"there is no {endpoint}")
        answer = self.http.post(self.metadata[endpoint], data=form, headers=headers)
        if answer.status_code not in {200, 400, 401, 403}:
            pytest.fail(f"{endpoint} neither grants nor refuses: {answer.status_code} {answer.text[:300]}")
        return answer


def password_grant(username: str, password: str) -> Callable[[Issuer, str, bool], SignedIn]:
    """Return a way to sign in for tests: the password grant (RFC 6749 section 4.3)."""

    def sign_in(issuer: Issuer, scope: str, bind: bool) -> SignedIn:  # noqa: FBT001 - as `Issuer.sign_in` is called
        key = Key() if bind else None
        form = {"grant_type": "password", "username": username, "password": password, "scope": scope}
        if not (answer := issuer.ask(issuer.user_client, key, **form)):
            pytest.fail(f"the user gets no token: {answer.refusal}")
        bound = str(answer.said["token_type"]).lower() == "dpop"
        return SignedIn(answer.token, answer.said.get("refresh_token", ""), key if bound else None)

    return sign_in
