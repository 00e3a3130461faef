"""Checks that a request comes from the holder of the key that its token is bound to (DPoP, RFC 9449 section 4.3).

`check_proof` is pure: key and time are arguments.  `UsedProofs` remembers which proofs have been used.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import jwt
from jwt.utils import base64url_decode
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zerotrust.decision import Denied, Reason
from zerotrust.identity import UnverifiedToken
from zerotrust.limits.strict_json import strict_object

KEYS = {"ES256": ("EC", "P-256", ("x", "y")), "EdDSA": ("OKP", "Ed25519", ("x",))}
"""For each algorithm that a proof may have: type, curve and members of its key (RFC 7518 section 6.2, RFC 8037)."""
MAX_PROOF = 2 * 1024
"""Bytes of a proof; one has about 500."""
LIFE, AHEAD = 30, 5
"""Seconds for which a proof is good, and by which the client's clock may be ahead of ours."""
MAX_KEYS, MAX_PROOFS = 10_000, 1_000
"""Keys whose proofs are remembered, each of which costs a sign-in, and proofs of one key."""


class _Claims(BaseModel):
    model_config = ConfigDict(strict=True)

    jti: Annotated[str, Field(min_length=1, max_length=128)]
    htm: str
    htu: str
    iat: int
    ath: str


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that was checked: its key's thumbprint, its id, and the second after which it is refused as old."""

    key: str
    id: str
    until: int


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """Return the thumbprint of a public key (RFC 7638 section 3).  Raises `KeyError` for a key of no known type."""
    members = {kty: ("crv", "kty", *names) for kty, _, names in KEYS.values()}[jwk["kty"]]
    text = json.dumps({name: jwk[name] for name in sorted(members)}, separators=(",", ":"))
    return _base64url(hashlib.sha256(text.encode()).digest())


def check_proof(  # noqa: PLR0913 - a request, and when
    proof: str, *, token: UnverifiedToken, key: str, method: str, url: str, now: float
) -> Proof:
    """Return the proof if it is one for this request by the holder of `token`.

    `key`: the thumbprint that the token is bound to; `url`: of the request, without query and fragment; `now`: seconds
    since the epoch.  The signature is checked only of a proof that names the right key.  Raises `Denied`.
    """
    try:
        header = strict_object(base64url_decode(proof.split(".", 1)[0]))
        kty, curve, members = KEYS[header["alg"]]  # control: proof-algorithm
        public = header["jwk"]
        if header["typ"] != "dpop+jwt" or "crit" in header:  # control: proof-type
            raise ValueError("typ or crit")
        if (public["kty"], public["crv"]) != (kty, curve) or "d" in public:  # control: proof-key-public
            raise ValueError("jwk")
        if thumbprint(public) != key:  # control: proof-key-of-token
            raise ValueError("another key than the token's")
        ours = jwt.PyJWK({"kty": kty, "crv": curve, **{name: public[name] for name in members}}, header["alg"])
        # control: proof-signature
        signed = jwt.PyJWS([header["alg"]]).decode(proof, ours, algorithms=[header["alg"]])
        claims = _Claims.model_validate(strict_object(signed))
    except (jwt.PyJWTError, ValidationError, KeyError, TypeError, ValueError) as error:
        raise Denied(Reason.BAD_PROOF, f"{type(error).__name__}: {error}") from error
    if (claims.htm, claims.htu.partition("?")[0]) != (method, url):  # control: proof-for-this-request
        raise Denied(Reason.BAD_PROOF, "for another request")
    if claims.ath != _base64url(hashlib.sha256(token.encode()).digest()):  # control: proof-for-this-token
        raise Denied(Reason.BAD_PROOF, "for another token")
    if not now - LIFE <= claims.iat <= now + AHEAD:  # control: proof-fresh
        raise Denied(Reason.BAD_PROOF, f"made {now - claims.iat:.0f} s ago")
    return Proof(key, claims.jti, claims.iat + LIFE)


class UsedProofs:
    """The proofs that were used, until they are too old to be used again (RFC 9449 section 11.1).

    Only proofs by the right key get here, so strangers cannot fill it.  What is full refuses, and forgets nothing.
    """

    def __init__(self, since: float) -> None:
        """`since`: the start, in seconds since the epoch; what was used before it is not known."""
        self._since = since
        self._used: dict[str, dict[str, int]] = {}

    def use(self, proof: Proof, now: float) -> None:
        """Remember a proof.  Raises `Denied` if it was used before, or if its key, or all, have used too many."""
        if proof.until - LIFE < int(self._since):  # control: proof-since-start
            raise Denied(Reason.BAD_PROOF, "made before this party started")
        used = self._used.get(proof.key, {})
        if proof.id in used:  # control: proof-used-once
            raise Denied(Reason.PROOF_USED)
        if len(used) >= MAX_PROOFS:
            used = self._used[proof.key] = {name: until for name, until in used.items() if until >= now}
        if len(self._used) >= MAX_KEYS and proof.key not in self._used:
            self._used = {key: ids for key, ids in self._used.items() if any(until >= now for until in ids.values())}
        if len(used) >= MAX_PROOFS or (len(self._used) >= MAX_KEYS and proof.key not in self._used):
            raise Denied(Reason.BUSY, "too many proofs are remembered")
        self._used.setdefault(proof.key, used)[proof.id] = proof.until


def _base64url(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
