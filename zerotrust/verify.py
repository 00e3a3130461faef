"""From an unverified token to a principal (RFC 9068 section 4, RFC 8725).  Pure: keys and clock are arguments.

`key_id` reads the header, in order: (1) form  (2) the one algorithm  (3) nothing that brings its own key  (4) type.
`verify` goes on: (5) signature  (6) claims present and well typed  (7) issuer  (8) audience  (9) time
(10) the chain of actors  (11) the lineage.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.utils import base64url_decode
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zerotrust.decision import Denied, Reason
from zerotrust.identity import MAX_ACTORS, Principal, UnverifiedToken, actor_chain
from zerotrust.limits.strict_json import strict_object

ALGORITHM = "RS256"
"""Ours to choose, never the token's: its header is the sender's (RFC 8725 section 3.1)."""

KNOWN_HEADERS = frozenset({"alg", "typ", "kid"})
"""Whatever else a header holds (`jku`, `jwk`, `x5u`, `crit`, `zip` ...) asks us to trust its sender."""

CLOCK_SKEW = 5
"""Seconds by which the issuer's clock may be ahead of ours.  Never added to a token's end."""

TICK = 1
"""Keycloak reads its clock twice for a token, and between `iat` and `exp` a second may begin."""

CAPACITY = 10_000
"""Verified tokens that are remembered."""

_Text = Annotated[str, Field(max_length=512, pattern=r"^[\x21-\x7e]+$")]
_Seconds = Annotated[int, Field(ge=0)]


class _Root(BaseModel):
    model_config = ConfigDict(strict=True)

    azp: _Text
    iat: _Seconds


class _Claims(BaseModel):
    model_config = ConfigDict(strict=True)  # exp "9999999999" is no number

    iss: str
    aud: str | list[str]
    sub: _Text
    azp: _Text
    client_id: _Text
    jti: _Text
    sid: _Text
    iat: _Seconds
    nbf: _Seconds | None = None
    exp: _Seconds
    scope: str = ""
    groups: list[str] = []
    lineage: list[_Text] = []
    txn: _Text | None = None
    root: _Root | None = None
    act: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a token must say to be good here."""

    issuer: str
    audience: str
    """This party, and nobody else."""
    max_ttls: Mapping[str, int]
    """The longest life, in seconds, of a token issued to each party that may hold one."""
    initiating_clients: frozenset[str]
    """The parties that start chains: their token needs no actor at this door."""
    without_certificate: frozenset[str]
    """The parties whose token is good at this door without a certificate."""
    peers: Mapping[str, str]
    """The parties that may show a certificate, SPIFFE ID to name."""


def key_id(token: UnverifiedToken, *, typ: str = "at+jwt") -> str:
    """Return the name of the key that is said to have signed; nothing else in the header is ours to follow.

    `typ` is the kind of token that is good here.  Raises `Denied`, always with a reason that the caller is not told.
    """
    # (1) A header is an object with every name once; PyJWT would take the last of two.
    try:
        header = strict_object(base64url_decode(token.split(".", 1)[0]))
    except ValueError as error:
        raise Denied(Reason.MALFORMED_TOKEN, str(error)) from error
    # (2)
    if header.get("alg") != ALGORITHM:
        raise Denied(Reason.ALGORITHM_NOT_ALLOWED)
    # (3)
    if not header.keys() <= KNOWN_HEADERS:
        raise Denied(Reason.FORBIDDEN_HEADER, ", ".join(sorted(header.keys() - KNOWN_HEADERS)))
    # (4) One key signs access, ID and logout tokens, and none may pass for another (RFC 9068 section 4).
    if header.get("typ") != typ:
        raise Denied(Reason.WRONG_TYPE)
    if not isinstance(kid := header.get("kid"), str):
        raise Denied(Reason.UNKNOWN_KEY, "no key is named")
    return kid


def verify(token: UnverifiedToken, *, key: RSAPublicKey, expected: Expected, now: float) -> Principal:
    """Return the caller that this token describes, or raise `Denied`.  `now` is in seconds since the epoch."""
    # (5)
    try:
        signed = jwt.PyJWS(algorithms=[ALGORITHM]).decode(token, key, algorithms=[ALGORITHM])
    except jwt.InvalidTokenError as error:
        raise Denied(Reason.BAD_SIGNATURE, str(error)) from error
    # (6)
    try:
        claims = _Claims.model_validate(strict_object(signed))
        actors = actor_chain(claims.act)
    except ValidationError as error:
        raise Denied(Reason.BAD_CLAIM, ", ".join(str(e["loc"][0]) for e in error.errors())) from error
    except ValueError as error:  # a broken chain, or no object
        raise Denied(Reason.BAD_CLAIM, str(error)) from error
    # RFC 9068 section 2.2 wants `client_id`; Keycloak's own name for it is `azp`.  A token that names two clients would
    # be one party's here and another's for a standard validator.
    if claims.client_id != claims.azp:
        raise Denied(Reason.BAD_CLAIM, "client_id")
    # (7)
    if claims.iss != expected.issuer:
        raise Denied(Reason.ISSUER_MISMATCH)
    # (8) Another audience, were there one, could replay the token here.
    if claims.aud not in (expected.audience, [expected.audience]):
        raise Denied(Reason.AUDIENCE_MISMATCH)
    # A party is nobody's user, least of all its own (RFC 9700 section 4.15).
    if claims.sub in expected.max_ttls or claims.sub in expected.peers:
        raise Denied(Reason.BAD_CLAIM, "sub")
    # (9) The end may not lie further off than this party may ever hold a token.
    if (life := expected.max_ttls.get(claims.azp)) is None:
        raise Denied(Reason.UNKNOWN_PARTY, claims.azp)
    begins = max(claims.iat, claims.nbf or 0)
    _check_time(begins, claims.exp, now)
    if not begins < claims.exp <= claims.iat + life + TICK:
        raise Denied(Reason.LIFETIME_EXCEEDED, f"{claims.exp - claims.iat} s")
    _check_actors(actors, claims, expected)  # (10)
    # (11) One ancestor for each exchange, so that whatever revokes one of them revokes this token.
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
        scopes=frozenset(claims.scope.split(" ")) - {""},
        groups=frozenset(claims.groups),
        token_id=claims.jti,
        lineage=tuple(claims.lineage),
        client=root.azp,
        chain_started_at=min(root.iat, begins),
        session=claims.sid,
        issued_at=begins,
        expires_at=claims.exp,
        token=token,
    )


def _check_time(begins: int, ends: int, now: float) -> None:
    if begins > now + CLOCK_SKEW:
        raise Denied(Reason.NOT_YET_VALID)
    if ends <= now:
        raise Denied(Reason.EXPIRED)


def _check_actors(actors: tuple[str, ...], claims: _Claims, expected: Expected) -> None:
    if not actors:
        # Only who starts chains speaks for its user without an actor, and only at a door that is open to it.
        if claims.azp not in expected.initiating_clients:
            raise Denied(Reason.ACTOR_MISSING)
        return
    if actors[0] != claims.azp:
        raise Denied(Reason.ACTOR_MISMATCH, "the outermost actor is not who the token was issued to")
    if len(actors) > MAX_ACTORS:
        raise Denied(Reason.CHAIN_TOO_DEEP)
    if len(set(actors)) != len(actors):
        raise Denied(Reason.ACTOR_REPEATED)


class TokenCache:
    """Verified tokens, so that a signature is checked once and what can change on every call.

    Keyed by the hash of the exact bytes; a signature by a key that is no longer trusted is checked anew.
    A revocation removes nothing here: whether the caller is revoked is asked on every call, remembered or not.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._seen: dict[bytes, tuple[str, RSAPublicKey, Principal]] = {}

    def key_id(self, token: UnverifiedToken) -> str:
        """The same as `key_id`, without reading the header of a remembered token again."""
        known = self._seen.get(_fingerprint(token))
        return known[0] if known else key_id(token)

    def verify(
        self, token: UnverifiedToken, *, kid: str, key: RSAPublicKey, expected: Expected, now: float
    ) -> Principal:
        """The same as `verify`, remembered."""
        mark = _fingerprint(token)
        known = self._seen.get(mark)
        if known and known[1] is key:
            _check_time(known[2].issued_at, known[2].expires_at, now)  # (9) again: what can change, on every call
            return known[2]
        principal = verify(token, key=key, expected=expected, now=now)
        if len(self._seen) >= self._capacity:
            self._seen = {seen: entry for seen, entry in self._seen.items() if entry[2].expires_at > now}
        while len(self._seen) >= self._capacity:
            del self._seen[next(iter(self._seen))]
        self._seen[mark] = (kid, key, principal)
        return principal


def _fingerprint(token: UnverifiedToken) -> bytes:
    return hashlib.sha256(token.encode()).digest()
