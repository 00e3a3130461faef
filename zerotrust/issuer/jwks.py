"""Fetches and caches the issuer's signing keys, and fetches them again for an unknown key, at a bounded rate."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from zerotrust.decision import Denied, Reason
from zerotrust.issuer.discovery import Discovery
from zerotrust.limits.answers import ask
from zerotrust.registry.model import Freshness
from zerotrust.token_validation import ALGORITHM

log = logging.getLogger(__name__)

MIN_KEY_BITS = 2048
MAX_KEY_SET_BYTES = 64 * 1024
"""Bytes of the issuer's key set."""


class SigningKeys:
    """The keys of one issuer (RFC 7517)."""

    def __init__(
        self, issuer: Discovery, *, http: httpx.AsyncClient, freshness: Freshness, clock: Callable[[], float]
    ) -> None:
        """`clock` counts seconds and never goes back (`time.monotonic`)."""
        self._issuer, self._http, self._freshness, self._clock = issuer, http, freshness, clock
        self._keys: dict[str, RSAPublicKey] = {}
        self._read_at = self._tried_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._why = ""

    async def key(self, kid: str) -> RSAPublicKey:
        """Return the key with that ID.

        Raises `Denied`: unknown key, or keys unavailable if the cached keys are too old.
        """
        age = self._clock() - self._read_at
        if kid not in self._keys or age > self._freshness.keys:
            if reading := self._start_reading():
                await asyncio.shield(reading)
        elif age > self._freshness.keys / 2:
            self._start_reading()  # early and in the background, so that a short outage of the issuer does no harm
        if self._clock() - self._read_at > self._freshness.keys:
            raise Denied(
                Reason.KEYS_UNAVAILABLE, f"keys of {self._issuer.issuer} were last read too long ago{self._why}"
            )
        if kid not in self._keys:  # control: key-known
            # If the issuer did not answer, it may have signed with a new key.
            unanswered = self._read_at < self._tried_at
            raise Denied(Reason.KEYS_UNAVAILABLE if unanswered else Reason.UNKNOWN_KEY)
        return self._keys[kid]

    def _start_reading(self) -> asyncio.Task[None] | None:
        """Start a read, or join the one under way; return None if the last try was too recent."""
        if self._reading and not self._reading.done():
            return self._reading
        if self._clock() - self._tried_at < self._freshness.keys_cooldown:  # control: key-set-cooldown
            return None
        self._tried_at = self._clock()
        self._reading = asyncio.create_task(self._read())
        return self._reading

    async def _read(self) -> None:
        try:
            url = (await self._issuer.metadata()).jwks_uri
            status, answer = await ask(self._http, "GET", url, most=MAX_KEY_SET_BYTES)
            found = _usable_keys(json.loads(answer) if status == 200 else None)  # control: key-set-status
        except (Denied, httpx.HTTPError, ValueError, RecursionError) as error:
            before, self._why = self._why, f": {str(error) or type(error).__name__}"
            if self._why != before:  # it may be so for hours
                log.warning("the keys of %s cannot be read%s", self._issuer.issuer, self._why)
            return  # the cached keys stay valid until they are too old; then the answer is 503
        # An unchanged key stays the same object, because cached tokens are tied to it.
        # control: removed-keys-forgotten
        self._keys = {kid: self._keys[kid] if self._keys.get(kid) == key else key for kid, key in found.items()}
        self._read_at, self._why = self._clock(), ""


def _usable_keys(document: Any) -> dict[str, RSAPublicKey]:
    """Return the keys of a JWK set that may sign access tokens.  Raises `ValueError` for none, or an unusable one."""
    try:
        entries = [entry for entry in document["keys"] if _signs(entry)]
        keys = {str(entry["kid"]): jwt.PyJWK(entry, ALGORITHM).key for entry in entries}
    except (TypeError, KeyError, AttributeError, jwt.PyJWTError) as error:
        raise ValueError("no key set") from error
    if not keys or len(keys) != len(entries):  # control: every-key-usable
        raise ValueError("no RSA key for verifying, or two of one name")
    # control: key-strength
    if any(not isinstance(key, RSAPublicKey) or key.key_size < MIN_KEY_BITS for key in keys.values()):
        raise ValueError("a weak key")
    return keys


def _signs(entry: Any) -> bool:
    """Return whether a key is for verifying access tokens.

    Optional members may be absent (RFC 7517 sections 4.2 to 4.4).
    """
    implied = ALGORITHM if entry["kty"] == "RSA" else None
    return (
        entry.get("use", "sig") == "sig"  # control: key-use
        and entry.get("alg", implied) == ALGORITHM  # control: key-algorithm
        and "verify" in entry.get("key_ops", ["verify"])  # control: key-operations
    )
