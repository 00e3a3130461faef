"""An issuer in memory, with real keys and real signatures; each argument makes a valid token invalid in one way.

    issuer.token()                      # valid
    issuer.token(aud="somebody-else")   # for another audience
    issuer.token(exp=None)              # without an expiry
    Issuer(issuer.registry).token()     # signed with another key

`issuer.app` serves the endpoints for metadata, keys, exchange and introspection, as far as parties use them.
It does not refuse what a real issuer refuses: test that with the real one.
"""

import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import httpx
import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.utils import base64url_encode
from starlette.types import Receive, Scope, Send

from zerotrust.issuer.discovery import WELL_KNOWN
from zerotrust.issuer.exchange import ACCESS_TOKEN
from zerotrust.registry.model import Registry
from zerotrust.spiffe.svid import Peer
from zt.people.key import Key

ISSUER = "https://issuer.test/realms/agents"
USERS_PRIVATE_KEY = ec.generate_private_key(ec.SECP256R1())


def metadata(issuer: str = ISSUER, **changed: str) -> dict[str, str]:
    """Return the issuer's metadata, with `changed` members (RFC 8414)."""
    return {
        "issuer": issuer,
        "jwks_uri": f"{issuer}/keys",
        "token_endpoint": f"{issuer}/token",
        "introspection_endpoint": f"{issuer}/introspect",
        "authorization_endpoint": f"{issuer}/authorize",
        "end_session_endpoint": f"{issuer}/logout",
        "revocation_endpoint": f"{issuer}/revoke",
    } | changed


def encode(part: bytes) -> str:
    """Return one part of a token (RFC 7515 section 2: base64url without padding)."""
    return base64url_encode(part).decode()


def _form(body: bytes) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(body.decode()).items()}


class Issuer:
    """Issues access tokens to users of the first client of a registry that starts chains."""

    def __init__(
        self,
        registry: Registry,
        *,
        kid: str = "k1",
        key: rsa.RSAPrivateKey | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.registry, self.kid, self.clock = registry, kid, clock
        self.chain_claim = registry.chain_claim
        self.key = key or rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.down = False
        self.inactive: set[str] = set()
        """The ids of the tokens that introspection reports as inactive."""
        self.introspections: list[dict[str, str]] = []
        self.exchanges: list[dict[str, str]] = []
        self.key_reads = 0
        self.more_keys: list[dict[str, Any]] = []
        """Further keys of the JWKS."""
        self.spoil: dict[str, Any] = {}
        """Claims of exchanged tokens that replace the right claims."""
        self.metadata = metadata()
        """The metadata that it serves."""
        self._login = next(name for name, party in registry.parties.items() if party.starts_chains)

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Return the claims of a valid token of a user who signed in, with `changed` ones; None leaves a claim out.

        The audience is the first party that the client may call.
        """
        now, client, azp = int(self.clock()), self.registry.parties[self._login], self.registry.id(self._login)
        good: dict[str, Any] = {
            "iss": ISSUER,
            "aud": self.registry.id(client.may_call[0]),
            "azp": azp,
            "client_id": changed.get("azp", azp),
            "sub": "alice",
            "sid": "session-1",
            "jti": str(uuid.uuid4()),
            "iat": now,
            "exp": now + 60,
            "scope": " ".join(client.delegates),
            "groups": self.registry.departments[:1],
        }
        if good["client_id"] in self.registry.without_certificate:
            good["zt_cnf"] = {"jkt": self.user_key.thumbprint}
        return {name: value for name, value in (good | changed).items() if value is not None}

    def token(self, *, header: dict[str, Any] | None = None, **changed: Any) -> str:
        """Return a signed token with those claims; `header` adds to its header or overrides it."""
        return self.sign(self.claims(**changed), header=header)

    def delegated(self, *chain: str, **changed: Any) -> str:
        """Return a token of the last party of `chain` (names, the first actor first), after as many exchanges."""
        return self.token(**(self.chain(*chain) | changed))

    def chain(self, *chain: str) -> dict[str, Any]:
        """Return the claims that only a token after exchanges has."""
        act: dict[str, Any] | None = None
        for name in chain:
            act = {"sub": self.registry.id(name)} | ({"act": act} if act else {})
        lineage = [f"ancestor-{number}" for number in range(len(chain))]
        root = {"azp": self.registry.id(self._login), "iat": int(self.clock())}
        return {
            "azp": self.registry.id(chain[-1]),
            self.chain_claim: act,
            "lineage": lineage,
            "txn": lineage[0],
            "root": root,
        }

    @property
    def user_key(self) -> Key:
        """The key that all users' tokens are bound to."""
        return Key(self.clock, USERS_PRIVATE_KEY)

    def headers(self, token: str, peer: Peer, method: str, url: str) -> dict[str, str]:
        """Return the headers with which `peer` presents a token: a user with a proof, a workload without one."""
        return {"authorization": f"Bearer {token}"} if peer.id else self.user_key.headers(method, url, token)

    def presenting(self, token: str, peer: Peer) -> Callable[[httpx.Request], httpx.Request]:
        """Return what presents a token with each request of an HTTP client (`auth=`)."""

        def present(request: httpx.Request) -> httpx.Request:
            request.headers.update(self.headers(token, peer, request.method, str(request.url)))
            return request

        return present

    def sign(self, claims: dict[str, Any], *, header: dict[str, Any] | None = None) -> str:
        """Return a token with any claims."""
        return jwt.encode(claims, self.key, "RS256", headers={"typ": "at+jwt", "kid": self.kid} | (header or {}))

    def sign_bytes(self, header: bytes, payload: bytes) -> str:
        """Return a token of any bytes."""
        data = f"{encode(header)}.{encode(payload)}"
        algorithm = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
        return f"{data}.{encode(algorithm.sign(data.encode(), self.key))}"

    @property
    def key_set(self) -> dict[str, Any]:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"keys": [public | {"kid": self.kid, "use": "sig", "alg": "RS256"}, *self.more_keys]}

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the issuer's endpoints."""
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        status, answer = (503, {"error": "down"}) if self.down else self.answer(scope["path"], body)
        raw = orjson.dumps(answer)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(raw))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": raw})

    def answer(self, path: str, body: bytes) -> tuple[int, Any]:
        """Return status and JSON of the answer to a request, unless the issuer is down."""
        if path.endswith(WELL_KNOWN):
            return 200, self.metadata
        if path.endswith("/keys"):
            self.key_reads += 1
            return 200, self.key_set
        if path.endswith("/introspect"):
            return 200, self._introspect(_form(body))
        return self._exchange(_form(body))

    def _introspect(self, form: dict[str, str]) -> dict[str, Any]:
        self.introspections.append(form)
        claims = jwt.decode(form["token"], options={"verify_signature": False})
        return {"active": claims["jti"] not in self.inactive and form["client_assertion"].endswith(claims["aud"])}

    def _exchange(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        self.exchanges.append(form)
        parent = jwt.decode(form["subject_token"], options={"verify_signature": False})
        if not set(form["scope"].split()) <= set(parent["scope"].split()):
            return 400, {"error": "invalid_scope", "error_description": "not in the subject token"}
        groups, wanted = parent.get("groups", []), form.get("requested_department")
        dead = {} if wanted is None or wanted in groups else {"exp": 1}
        me = form["client_assertion"].removeprefix("assertion of ")
        now = int(self.clock())
        lineage = [*parent.get("lineage", []), parent["jti"]]
        life = next(p.max_ttl for name, p in self.registry.parties.items() if self.registry.id(name) == me) or 0
        claims = {name: value for name, value in parent.items() if name != "zt_cnf"} | {
            "azp": me,
            "client_id": me,
            "aud": form["audience"],
            "scope": form["scope"],
            "groups": groups if wanted is None else [wanted],
            "jti": str(uuid.uuid4()),
            "iat": now,
            "exp": min(parent["exp"], now + life),
            self.chain_claim: {"sub": me} | ({"act": parent[self.chain_claim]} if self.chain_claim in parent else {}),
            "lineage": lineage,
            "txn": lineage[0],
            "root": parent.get("root", {"azp": parent["azp"], "iat": parent["iat"]}),
        }
        token = self.sign(claims | dead | self.spoil)
        return 200, {"access_token": token, "token_type": "Bearer", "issued_token_type": ACCESS_TOKEN}
