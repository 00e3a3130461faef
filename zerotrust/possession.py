"""Checks that a request comes from the holder of the key that its token is bound to (DPoP, RFC 9449 section 4.3).

`check_proof` is pure: key and time are arguments.  `UsedProofs` remembers which proofs have been used.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

import jwt
from jwt.utils import base64url_decode, base64url_encode
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zerotrust.decision import Denied, Reason
from zerotrust.identity import UnverifiedToken
from zerotrust.limits.strict_json import strict_object

KEYS = {("EC", "P-256"): (["ES256"], ("x", "y")), ("OKP", "Ed25519"): (["EdDSA", "Ed25519"], ("x",))}
"""For each type and curve of a key: the names of the algorithm of its proofs (RFC 9864), and the key's members (RFC
7518 section 6.2, RFC 8037)."""
LIFE, AHEAD = 30, 5
"""Seconds for which a proof is good, and by which the client's clock may be ahead of ours."""
MAX_OF_A_USER, MAX_OF_ALL = 5_000, 100_000
"""Used proofs that are remembered from `LIFE + AHEAD` seconds: of a user, 140 a second; and of all, in about 25 MB."""


_jws = jwt.PyJWS(["ES256", "EdDSA"])
_jws.register_algorithm("Ed25519", jwt.algorithms.OKPAlgorithm())


class _Claims(BaseModel):
    model_config = ConfigDict(strict=True)

    jti: Annotated[str, Field(max_length=128)]
    htm: str
    htu: str
    iat: int
    ath: str


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that was checked: its key's thumbprint, its id, and when it was made, in seconds since the epoch."""

    thumbprint: str
    id: str
    made: int


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """Return the thumbprint of a public key (RFC 7638 section 3).  Raises `KeyError` for a key of no known type."""
    _, members = KEYS[jwk["kty"], jwk["crv"]]
    text = json.dumps({name: jwk[name] for name in ("crv", "kty", *members)}, separators=(",", ":"))
    return hashed(text)


def hashed(text: str) -> str:
    """Return the SHA-256 of a text, as base64url: also of a token (`ath`), and of a PKCE verifier (RFC 7636)."""
    return base64url_encode(hashlib.sha256(text.encode()).digest()).decode()


def check_proof(  # noqa: PLR0913 - a request, and when
    proof: str, *, token: UnverifiedToken, key: str, method: str, url: str, now: float
) -> Proof:
    """Return the proof if it is one for this request by the holder of `token`.

    `key`: the thumbprint that the token is bound to; `url`: of the request, without query and fragment; `now`: seconds
    since the epoch.  The signature is checked only of a proof that names the right key.  Raises `Denied`.
    """
    try:
        header = strict_object(base64url_decode(proof.split(".", 1)[0]))
        public = header["jwk"]
        names, members = KEYS[public["kty"], public["crv"]]
        if header["typ"] != "dpop+jwt":  # control: proof-type
            raise ValueError("typ")
        if "d" in public:  # control: proof-key-public
            raise ValueError("a private key")
        if thumbprint(public) != key:  # control: proof-key-of-token
            raise ValueError("another key than the token's")
        shown = {name: public[name] for name in ("kty", "crv", *members)}
        verifying = _jws.get_algorithm_by_name(names[0]).from_jwk(shown)
        # PyJWT compares `alg` with these names, and refuses `crit` (RFC 7515 section 4.1.11).
        signed = _jws.decode(proof, verifying, algorithms=names)  # control: proof-signature
        claims = _Claims.model_validate(strict_object(signed))
        place = _place(claims.htu)
    except (jwt.PyJWTError, ValidationError, KeyError, TypeError, ValueError) as error:
        raise Denied(Reason.BAD_PROOF, f"{type(error).__name__}: {error}") from error
    if (claims.htm, place) != (method, _place(url)):  # control: proof-for-this-request
        raise Denied(Reason.BAD_PROOF, "for another request")
    if claims.ath != hashed(token):  # control: proof-for-this-token
        raise Denied(Reason.BAD_PROOF, "for another token")
    if not now - LIFE <= claims.iat <= now + AHEAD:  # control: proof-fresh
        raise Denied(Reason.BAD_PROOF, f"made {now - claims.iat:.0f} s ago")
    return Proof(key, claims.jti, claims.iat)


class UsedProofs:
    """The proofs that were used, until they are too old to be used again (RFC 9449 section 11.1).

    Only proofs by the key of a verified token get here, so strangers cannot fill it.  A full one refuses.
    """

    def __init__(self, since: float) -> None:
        """`since`: the start, in seconds since the epoch; what was used before it is not known."""
        self._since = self._begun = since
        self._used, self._used_before = dict[str, set[bytes]](), dict[str, set[bytes]]()
        """By user: since `_begun`, and in at least `LIFE + AHEAD` seconds before."""
        self._number = 0

    def remember(self, proof: Proof, *, user: str, now: float) -> None:
        """Remember a proof.  Raises `Denied` if it was used before, or if its user, or all, have used too many."""
        if proof.made < int(self._since):  # control: proof-since-start
            raise Denied(Reason.BAD_PROOF, "made before this party started")
        if now - self._begun > LIFE + AHEAD:
            self._used, self._used_before = {}, self._used
            self._begun, self._number = now, 0
        name = hashlib.sha256(f"{proof.thumbprint}.{proof.id}".encode()).digest()  # of one size, whatever the id is
        used = self._used.get(user, set())
        if name in used or name in self._used_before.get(user, ()):  # control: proof-used-once
            raise Denied(Reason.PROOF_USED)
        if len(used) >= MAX_OF_A_USER:  # control: proofs-per-user
            raise Denied(Reason.TOO_MANY_REQUESTS, f"{MAX_OF_A_USER} proofs of this user are remembered")
        if self._number >= MAX_OF_ALL:
            raise Denied(Reason.BUSY, f"{MAX_OF_ALL} proofs are remembered")
        self._used.setdefault(user, used).add(name)
        self._number += 1


def _place(url: str) -> tuple[str, str, str]:
    """Return scheme, host (with a port other than 443) and path, normalized (RFC 3986 section 6.2)."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower().removesuffix(":443"), parts.path
