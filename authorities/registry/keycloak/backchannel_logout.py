"""Receives logout tokens: Keycloak pushes one for each session that ends (OpenID Connect Back-Channel Logout 1.0).

`logout_of` verifies one, in the order of section 2.6; `Logouts` handles the route.
The sender need not be authenticated, because only the realm can have signed the token.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pydantic import BaseModel, ConfigDict

from authorities.registry.keycloak.events import OURS, Apply, Change, of_user_until
from zerotrust.decision import Denied, Reason
from zerotrust.identity import UnverifiedToken
from zerotrust.issuer.jwks import SigningKeys
from zerotrust.token_validation import CLOCK_SKEW, Seconds, Text, key_id, signed_claims

PATH = "/backchannel-logout"
"""The route for logout tokens; the realm has it in the settings of each client."""
MAX_AGE = 120
"""Seconds after `iat` for which a logout token is accepted, whatever its `exp`, and its `jti` is remembered."""
TYPE = "logout+jwt"
"""The `typ` that Keycloak uses (section 2.4)."""
EVENT = "http://schemas.openid.net/event/backchannel-logout"


class _Claims(BaseModel):
    model_config = ConfigDict(strict=True)

    iss: str
    aud: str | list[str]
    iat: Seconds
    exp: Seconds
    jti: Text
    events: dict[str, dict[str, Any]]
    sid: Text  # our clients require it (section 2.2), so a token that names only the user is not for us
    sub: Text | None = None
    nonce: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Logout:
    """A session that has ended, with the claims of its logout token."""

    session: str
    token_id: str
    issued_at: int
    user: str | None


def logout_of(
    token: UnverifiedToken, *, key: RSAPublicKey, issuer: str, clients: Collection[str], now: float
) -> Logout:
    """Return the logout of this token (section 2.6).  Raises `Denied`.

    `clients` are those that people sign in with; `now` is in seconds since the epoch.
    """
    claims = signed_claims(token, key, _Claims)  # control: logout-token-signature
    if claims.iss != issuer:  # control: logout-token-issuer
        raise Denied(Reason.ISSUER_MISMATCH)
    audience = claims.aud if isinstance(claims.aud, list) else [claims.aud]
    if len(audience) != 1 or audience[0] not in clients:  # control: logout-token-audience
        raise Denied(Reason.AUDIENCE_MISMATCH)
    if claims.events.keys() != {EVENT}:  # control: logout-token-event
        raise Denied(Reason.BAD_CLAIM, "events")
    # An ID token has a nonce, and must not be taken for a logout token (section 2.4).
    if "nonce" in claims.model_fields_set:  # control: logout-token-without-nonce
        raise Denied(Reason.BAD_CLAIM, "nonce")
    if claims.iat > now + CLOCK_SKEW:
        raise Denied(Reason.NOT_YET_VALID)
    if claims.exp <= now or claims.iat + MAX_AGE <= now:  # control: logout-token-age
        raise Denied(Reason.EXPIRED)
    return Logout(session=claims.sid, token_id=claims.jti, issued_at=claims.iat, user=claims.sub)


class Logouts:
    """Handles the route for logout tokens: each is accepted once."""

    def __init__(
        self,
        keys: SigningKeys,
        *,
        issuer: str,
        clients: Callable[[], Collection[str]],
        apply: Apply,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clients` returns the present clients that users sign in with; `clock` is in seconds since the epoch."""
        self._keys, self._issuer, self._clients, self._apply, self._clock = keys, issuer, clients, apply, clock
        self._seen: dict[str, int] = {}

    async def receive(self, body: bytes) -> None:
        """Revoke the session of the `logout_token` in a request's form.  Return when that is on the disk.

        Raises `Denied`, also for a token that was received before.
        """
        token = _token(body)
        key = await self._keys.key(key_id(token, typ=TYPE))
        now = self._clock()
        logout = logout_of(token, key=key, issuer=self._issuer, clients=self._clients(), now=now)
        # Strangers cannot fill this, because only tokens that the realm signed are remembered.
        self._seen = {seen: issued for seen, issued in self._seen.items() if issued + MAX_AGE > now}
        if logout.token_id in self._seen:  # control: logout-token-once
            raise Denied(Reason.BAD_CLAIM, "jti: this logout token was received before")
        self._seen[logout.token_id] = logout.issued_at
        until = of_user_until(logout.issued_at, logout.user) if logout.user else None
        await self._apply(Change(("session", logout.session), f"{OURS}logout", until))


def _token(body: bytes) -> UnverifiedToken:
    """Return the one `logout_token` of a form (section 2.5, which requires to ignore other fields)."""
    try:
        form = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    except ValueError as error:
        raise Denied(Reason.MALFORMED_BODY, str(error)) from error
    tokens = [value for name, value in form if name == "logout_token"]
    if len(tokens) != 1:
        raise Denied(Reason.MALFORMED_BODY, f"{len(tokens)} logout tokens")
    return UnverifiedToken(tokens[0])
