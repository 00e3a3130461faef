"""Validates an access token, returns its principal (RFC 9068 section 4, RFC 8725).  Pure: keys and time are arguments.

`key_id` checks the header, in order: (1) form  (2) the one algorithm  (3) no header that brings its own key  (4) type.
`verify_token` continues: (5) signature  (6) claims present and well typed  (7) issuer  (8) audience  (9) time
(10) the chain of actors  (11) the lineage.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol, TypeVar

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.utils import base64url_decode
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zerotrust.decision import Denied, Reason
from zerotrust.identity import MAX_ACTORS, Principal, UnverifiedToken, actor_chain
from zerotrust.limits.bounded import Bounded
from zerotrust.limits.strict_json import strict_object

ALGORITHM = "RS256"
"""The verifier chooses it, never the token, whose header the sender controls (RFC 8725 section 3.1)."""

KNOWN_HEADERS = frozenset({"alg", "typ", "kid"})
"""Any other header (`jku`, `jwk`, `x5u`, `crit`, `zip` ...) would have us trust the sender."""

CLOCK_SKEW = 5
"""Seconds by which the issuer's clock may be ahead of ours.  Never added to a token's `exp`."""

TICK = 1
"""Seconds.  Keycloak reads its clock once for `iat` and once for `exp`, and a second may begin in between."""

CAPACITY = 10_000
"""Verified tokens that are cached, about 2 KiB each."""

C = TypeVar("C", bound=BaseModel)

Text = Annotated[str, Field(max_length=512, pattern=r"^[\x21-\x7e]+$")]
Seconds = Annotated[int, Field(ge=0, lt=2**33)]
"""Since the epoch, until 2242: records have microseconds, as integers of at most 53 bits (RFC 8259 section 6)."""


class _Root(BaseModel):
    model_config = ConfigDict(strict=True)

    azp: Text
    iat: Seconds


class Confirmation(BaseModel):
    """The key that a token is bound to (RFC 9449 section 6.1)."""

    model_config = ConfigDict(strict=True)

    jkt: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
    certificate: None = Field(default=None, alias="x5t#S256")
    """A second binding, which nothing here checks (RFC 8705 section 3.1), is refused."""


class _Claims(BaseModel):
    model_config = ConfigDict(strict=True)  # exp "9999999999" is no number

    iss: str
    aud: str | list[str]
    sub: Text
    azp: Text
    client_id: Text
    jti: Text
    sid: Text | None = None
    iat: Seconds
    nbf: Seconds | None = None
    exp: Seconds
    scope: str = ""
    groups: list[str]  # a user in no group has an empty list; without a list, the groups are unknown
    lineage: list[Text] = []
    txn: Text | None = None
    root: _Root | None = None
    act: Any = None
    zt_act: Any = None
    cnf: Confirmation | None = None
    zt_cnf: Confirmation | None = None
    """As `cnf`, in a token that Keycloak is to exchange: it exchanges none with `cnf`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The claims that make a token valid here."""

    issuer: str
    audience: str
    """This party alone."""
    chain_claim: str = "act"
    """The claim that names the chain of actors: `act`, or `zt_act`, which has the same form."""
    max_ttls: Mapping[str, int] = field(default_factory=dict)
    """The longest lifetime, in seconds, of a token issued to each party that may hold one."""
    initiating_clients: frozenset[str] = frozenset()
    """The parties that start chains: their tokens need no actor here."""
    without_certificate: frozenset[str] = frozenset()
    """The parties whose tokens are valid here without a client certificate."""
    peers: Mapping[str, str] = field(default_factory=dict)
    """The parties that may show a certificate, SPIFFE ID to name."""
    operating: frozenset[str] = frozenset()
    """The parties that operate here by themselves: each is the subject of its tokens, which have no session."""
    browsers: bool = False
    """Whether people's browsers connect here, which have no certificate."""


def key_id(token: UnverifiedToken, *, typ: str = "at+jwt") -> str:
    """Return the ID of the key that is said to have signed the token; use nothing else of the header.

    `typ` is the type of token that is accepted.  Raises `Denied`, always with a reason that is not sent to the caller.
    """
    # (1) A header is an object with unique names; of two equal names PyJWT would take the last.
    try:
        header = strict_object(base64url_decode(token.split(".", 1)[0]))
    except ValueError as error:
        raise Denied(Reason.MALFORMED_TOKEN, str(error)) from error
    # (2)
    if header.get("alg") != ALGORITHM:  # control: token-algorithm
        raise Denied(Reason.ALGORITHM_NOT_ALLOWED)
    # (3)
    if not header.keys() <= KNOWN_HEADERS:  # control: token-header-known
        raise Denied(Reason.FORBIDDEN_HEADER, ", ".join(sorted(header.keys() - KNOWN_HEADERS)))
    # (4) The same key signs access, ID and logout tokens; none may be taken for another (RFC 9068 section 4).
    if _media_type(header.get("typ")) != typ:  # control: token-type
        raise Denied(Reason.WRONG_TYPE, f"it is of the type {header.get('typ')}, and not {typ}")
    if not isinstance(kid := header.get("kid"), str):
        raise Denied(Reason.UNKNOWN_KEY, "no key is named")
    return kid


def _media_type(typ: object) -> str | None:
    """Return the media type that a header's `typ` names, in its short form (RFC 7515 section 4.1.9)."""
    return typ.lower().removeprefix("application/") if isinstance(typ, str) else None


def verify_token(token: UnverifiedToken, *, key: RSAPublicKey, expected: Expected, now: float) -> Principal:
    """Return the principal of this token.  `now` is in seconds since the epoch.  Raises `Denied`."""
    claims = signed_claims(token, key, _Claims)  # (5), (6)
    try:
        actors = actor_chain(getattr(claims, expected.chain_claim))
    except ValueError as error:
        raise Denied(Reason.BAD_CLAIM, str(error)) from error
    # RFC 9068 section 2.2 requires `client_id`; Keycloak calls it `azp`.  If they differed, this validator and a
    # standard one would each see another client.
    if claims.client_id != claims.azp:  # control: client-id-is-azp
        raise Denied(Reason.BAD_CLAIM, "client_id")
    # (7)
    if claims.iss != expected.issuer:  # control: token-issuer
        raise Denied(Reason.ISSUER_MISMATCH)
    # (8) A second audience could replay the token here.
    if claims.aud not in (expected.audience, [expected.audience]):  # control: token-audience
        raise Denied(Reason.AUDIENCE_MISMATCH, f"it is for {claims.aud}, and this is {expected.audience}")
    # A party that operates here is the subject of its own tokens (RFC 9068 section 2.2); otherwise a workload never is
    # one (RFC 9700 section 4.15).
    itself = claims.sub == claims.azp and claims.azp in expected.operating
    if not itself and (claims.sub in expected.max_ttls or claims.sub in expected.peers):  # control: subject-is-no-party
        raise Denied(Reason.BAD_CLAIM, "sub")
    if not itself and claims.sid is None:  # control: user-has-session
        raise Denied(Reason.BAD_CLAIM, "sid")
    # (9) The token may not live longer than the registry allows for this party.
    if (life := expected.max_ttls.get(claims.azp)) is None:
        raise Denied(Reason.UNKNOWN_PARTY, claims.azp)
    begins = max(claims.iat, claims.nbf or 0)
    check_time(begins, claims.exp, now)
    if not begins < claims.exp <= claims.iat + life + TICK:  # control: token-lifetime
        raise Denied(Reason.LIFETIME_EXCEEDED, f"{claims.exp - claims.iat} s")
    _check_actors(actors, claims, expected, itself=itself)  # (10)
    # (11) One ancestor for each exchange, so that revoking an ancestor revokes this token.
    if len(claims.lineage) != len(actors) or claims.txn != (claims.lineage[0] if claims.lineage else None):
        raise Denied(Reason.LINEAGE_MISMATCH)
    if (claims.root is None) != (not actors):
        raise Denied(Reason.LINEAGE_MISMATCH, "root")
    root = claims.root or _Root(azp=claims.azp, iat=begins)
    return Principal(
        subject=claims.sub,
        party=claims.azp,
        actors=actors,
        audience=expected.audience,
        scopes=frozenset(claims.scope.split(" ")) - {""},  # control: scopes-of-token
        groups=frozenset(claims.groups),  # control: groups-of-token
        key_thumbprint=bound.jkt if (bound := claims.cnf or claims.zt_cnf) else None,
        token_id=claims.jti,
        lineage=tuple(claims.lineage),
        client=root.azp,
        chain_started_at=min(root.iat, begins),
        session=claims.sid or "",
        issued_at=begins,
        expires_at=claims.exp,
        token=token,
    )


def signed_claims(token: UnverifiedToken, key: RSAPublicKey, kind: type[C]) -> C:
    """Return the claims of a token, which has a good signature (5); `kind` says their names and types (6).

    Raises `Denied`.
    """
    try:
        # control: token-signature
        signed = jwt.PyJWS(algorithms=[ALGORITHM]).decode(token, key, algorithms=[ALGORITHM])
    except jwt.InvalidTokenError as error:
        raise Denied(Reason.BAD_SIGNATURE, str(error)) from error
    try:
        return kind.model_validate(strict_object(signed))  # control: claims-valid
    except ValidationError as error:
        raise Denied(Reason.BAD_CLAIM, ", ".join(str(e["loc"][0]) for e in error.errors())) from error
    except ValueError as error:  # no object
        raise Denied(Reason.BAD_CLAIM, str(error)) from error


def check_time(begins: int, ends: int, now: float) -> None:
    """Raise `Denied` unless a token is valid at this time (9); all in seconds since the epoch."""
    if begins > now + CLOCK_SKEW:  # control: token-not-before
        raise Denied(Reason.NOT_YET_VALID)
    if ends <= now:  # control: token-expiry
        raise Denied(Reason.EXPIRED)


def _check_actors(actors: tuple[str, ...], claims: _Claims, expected: Expected, *, itself: bool) -> None:
    if not actors:
        # Only a client that starts chains acts for its user without an actor, and only where it may call.
        if not itself and claims.azp not in expected.initiating_clients:  # control: actor-required
            raise Denied(Reason.ACTOR_MISSING)
        return
    check_chain(actors, {claims.azp})


def check_chain(actors: tuple[str, ...], issued_to: Collection[str]) -> None:
    """Raise `Denied` unless the current actor has one of these names, and none is there twice (RFC 8693 section 4.1).

    `issued_to`: the names of the party that the token was issued to.
    """
    if actors[0] not in issued_to:  # control: first-actor-is-azp
        raise Denied(Reason.ACTOR_MISMATCH, "the outermost actor is not the party that the token was issued to")
    if len(actors) > MAX_ACTORS:  # control: chain-depth
        raise Denied(Reason.CHAIN_TOO_DEEP)
    if len(set(actors)) != len(actors):
        raise Denied(Reason.ACTOR_REPEATED)


class Verifier(Protocol):
    """As `verify_token`."""

    def __call__(self, token: UnverifiedToken, *, key: RSAPublicKey, expected: Expected, now: float) -> Principal:
        """Return the principal of this token.  Raises `Denied`."""


class TokenCache:
    """Caches verified tokens: it checks a signature once, and on every call what can change.

    It finds a token by the hash of its exact bytes; if the signing key has changed, it verifies the token again.
    A revocation removes nothing here: the gate checks revocation on every call, cached or not.
    """

    def __init__(self, by: Verifier = verify_token, capacity: int = CAPACITY) -> None:
        """`by`: verifies a token that is not cached."""
        self.verifier, self._seen = by, Bounded[bytes, tuple[str, RSAPublicKey, Principal]](capacity)

    def key_id(self, token: UnverifiedToken) -> str:
        """Do as `key_id`, without reading the header of a cached token again."""
        cached = self._seen.get(_fingerprint(token))
        return cached[0] if cached else key_id(token)

    def verify(
        self, token: UnverifiedToken, *, kid: str, key: RSAPublicKey, expected: Expected, now: float
    ) -> Principal:
        """Do as `verify_token`, and cache the result."""
        mark = _fingerprint(token)
        cached = self._seen.get(mark)
        if cached and cached[1] is key:
            # control: cached-token-in-time
            check_time(cached[2].issued_at, cached[2].expires_at, now)  # (9) again: what can change, on every call
            return cached[2]
        principal = self.verifier(token, key=key, expected=expected, now=now)
        self._seen[mark] = (kid, key, principal)
        return principal


def _fingerprint(token: UnverifiedToken) -> bytes:
    return hashlib.sha256(token.encode()).digest()  # control: token-cached-by-digest
