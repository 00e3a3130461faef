"""The trust domain's signing key: makes JWT-SVIDs, and shows the public half.

The key is made at start and exists in memory only. (X.509-SVIDs come with their own issue.)
"""

import json
import secrets
from collections.abc import Sequence
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

ALGORITHM = "ES256"


class Issuer:
    """Signs for one trust domain."""

    def __init__(self, trust_domain: str) -> None:
        self.trust_domain_id = f"spiffe://{trust_domain}"
        self._key = ec.generate_private_key(ec.SECP256R1())
        # A new name with every new key: a reader who meets an unknown one reads the bundle again.
        self._key_id = secrets.token_hex(8)

    def jwt_svid(self, spiffe_id: str, audience: Sequence[str], *, now: int, life: int) -> str:
        """Return a signed JWT-SVID (SPIFFE JWT-SVID sections 2 and 3).

        `now` is in seconds since 1970, `life` in seconds.
        """
        claims = {
            "sub": spiffe_id,
            "aud": list(audience),
            "iat": now,
            "exp": now + life,
            "jti": secrets.token_urlsafe(16),
        }
        return jwt.encode(claims, self._key, ALGORITHM, headers={"kid": self._key_id, "typ": "JWT"})

    def validate(self, token: str, audience: str) -> dict[str, Any]:
        """Return the claims of a JWT-SVID that this issuer signed for `audience` (SPIFFE JWT-SVID section 4).

        Raises `jwt.InvalidTokenError`.
        """
        required = ["sub", "aud", "iat", "exp", "jti"]
        return jwt.decode(token, self._key.public_key(), [ALGORITHM], audience=audience, options={"require": required})

    def bundle(self) -> bytes:
        """Return the public key as a SPIFFE bundle, a JWK set (SPIFFE Trust Domain and Bundle section 4).

        Without `spiffe_refresh_hint`, which the standard would like: Keycloak 26.7.5 reads a hint as an expiry that
        has passed, fetches the keys for nearly every request, and refuses valid SVIDs while we are away.
        """
        key = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return json.dumps({"keys": [{**key, "kid": self._key_id, "use": "jwt-svid", "alg": ALGORITHM}]}).encode()
