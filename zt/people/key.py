"""The key that a sign-in binds its tokens to (DPoP, RFC 9449)."""

import base64
import secrets
import time
from collections.abc import Callable, Generator
from functools import cached_property
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from zerotrust.possession import hashed, thumbprint

ALGORITHM = "ES256"


class Key:
    """A key of a public client, for one sign-in."""

    def __init__(
        self, clock: Callable[[], float] = time.time, private: ec.EllipticCurvePrivateKey | None = None
    ) -> None:
        self._clock, self._private = clock, private or ec.generate_private_key(ec.SECP256R1())

    @cached_property
    def _public(self) -> dict[str, Any]:
        return jwt.algorithms.ECAlgorithm.to_jwk(self._private.public_key(), as_dict=True)

    @property
    def thumbprint(self) -> str:
        """The thumbprint to which tokens are bound (RFC 7638), and the parameter `dpop_jkt` (RFC 9449 section 10)."""
        return thumbprint(self._public)

    @classmethod
    def of(cls, private: str) -> "Key":
        """Return the key that `private` was of.  Raises `ValueError`."""
        if not isinstance(key := load_der_private_key(base64.b64decode(private), None), ec.EllipticCurvePrivateKey):
            raise ValueError("a key of another kind")
        return cls(private=key)

    @property
    def private(self) -> str:
        """The key itself (PKCS #8, DER, base64), for another program of its holder."""
        der = self._private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return base64.b64encode(der).decode()

    def prove(self, method: str, url: str, token: str | None = None) -> str:
        """Return a proof for one request, with the token if it carries one (RFC 9449 section 4.2)."""
        claims: dict[str, Any] = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": url.partition("?")[0],
            "iat": int(self._clock()),
        }
        if token:
            claims["ath"] = hashed(token)
        return jwt.encode(claims, self._private, ALGORITHM, headers={"typ": "dpop+jwt", "jwk": self._public})

    def headers(self, method: str, url: str, token: str) -> dict[str, str]:
        """Return the headers of one request that presents a token (RFC 9449 section 7.1)."""
        return {"authorization": f"DPoP {token}", "dpop": self.prove(method, url, token)}


class BoundToken(httpx.Auth):
    """Adds a token and a proof for it to each request (RFC 9449 section 7.1)."""

    def __init__(self, key: Key, token: str) -> None:
        self._key, self._token = key, token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Return the request with both headers."""
        request.headers.update(self._key.headers(request.method, str(request.url), self._token))
        yield request
