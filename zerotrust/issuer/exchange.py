"""Exchanges the caller's token for a narrower one for the next hop, with the chain of actors (RFC 8693).

The authorization server decides; this module requests the token, caches it, and refuses a wrong token.  It catches our
own mistakes.  Only the realm limits a compromised service.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jwt

from zerotrust.audit.event_parts import Caller, Decided
from zerotrust.audit.event_types import Exchange
from zerotrust.audit.forms import MICROSECONDS, as_name, sanitize
from zerotrust.clock import NonDecreasingClock
from zerotrust.decision import Decision, Denied, Reason, ReasonCode
from zerotrust.identity import Principal
from zerotrust.issuer.client import IssuerClient
from zerotrust.limits.answers import REPORTING_MARGIN, SECONDS
from zerotrust.limits.bounded import Bounded
from zerotrust.revocation import Revocations

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name

MARGIN = 5
"""Seconds before its end from which a cached token is not used any more, because it has to outlast the call."""
CAPACITY = 10_000
"""Exchanged tokens that are cached, about 2 KiB each."""

Record = Callable[[Exchange], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ExchangedToken:
    """A token for one audience with less scope, to be sent to that audience only."""

    audience: str
    token_id: str
    expires_at: float
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A requested token.  Department and lifetime are fields of our own, for the realm's script."""

    audience: str
    scopes: frozenset[str]
    department: str | None = None
    """The one group of the user that the token names; None keeps the groups of the caller's token."""
    lifetime: int | None = None
    """Seconds; None for the party's maximum."""

    def __post_init__(self) -> None:
        if self.lifetime is not None and self.lifetime <= 0:
            raise ValueError("a lifetime is at least one second")

    def form(self, subject_token: str) -> dict[str, str]:
        """Return the request of RFC 8693 section 2.1, without the credential of the client."""
        form = {
            "grant_type": GRANT,
            "subject_token": subject_token,
            "subject_token_type": ACCESS_TOKEN,
            "requested_token_type": ACCESS_TOKEN,
            "audience": self.audience,
            "scope": " ".join(sorted(self.scopes)),
        }
        narrower = {"requested_department": self.department, "requested_lifetime": self.lifetime}
        return form | {field: str(value) for field, value in narrower.items() if value}


_Key = tuple[bytes, TokenRequest]
"""The digest of the caller's token, and what is asked for."""


class Exchanger:
    """Exchanges tokens for one party; concurrent requests for the same token share one exchange."""

    def __init__(
        self,
        *,
        issuer: IssuerClient,
        chain_claim: str | None,
        revocations: Revocations,
        record: Record,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._issuer, self._record = issuer, record
        self._chain_claim, self._clock = chain_claim, NonDecreasingClock(clock)
        self._tokens = Bounded[_Key, ExchangedToken](CAPACITY)
        self._flights = Bounded[_Key, asyncio.Task[ExchangedToken]](CAPACITY)
        """The exchanges under way.  A finished one is dropped: it would keep its request's context and receipts."""
        self._revocations = revocations

    async def exchange(self, caller: Principal, wanted: TokenRequest, *, lasting: float = MARGIN) -> ExchangedToken:
        """Return a token of the same user for the audience, with exactly those scopes, and only in that department.

        `lasting`: seconds that a cached token must have left to be used.  One that ends with the caller's token
        is used until `MARGIN` before its end, because no other lasts longer.
        Raises `Denied`: revoked, peer revoked, revocation unknown, would widen, exchange refused, issuer or identity
        unavailable, issuer untrusted, journal unavailable.
        """
        # The caller may have been revoked since the gate checked, and the gate did not check the audience.
        # control: no-exchange-for-suspended-audience
        for status in self._revocations.check_caller(caller), self._revocations.check_peer(wanted.audience):
            if not status:  # control: no-exchange-if-revoked
                await self._note(caller, wanted, status.reason, detail=status.detail)
                raise Denied(status.reason, status.detail)
        # Delegation can only narrow.  A request for more is a bug here, or an attack.
        groups = {wanted.department} if wanted.department else frozenset()
        if more := (wanted.scopes - caller.scopes) | (groups - caller.groups):
            await self._note(caller, wanted, Reason.WOULD_WIDEN, detail=" ".join(sorted(more)))
            raise Denied(Reason.WOULD_WIDEN, " ".join(sorted(more)))
        key = (hashlib.sha256(caller.token.encode()).digest(), wanted)  # control: exchange-cached-by-token
        token = self._tokens.get(key)
        revoked = token and ("token", token.token_id) in self._revocations.revoked
        if token and not revoked and not _expires_soon(token, self._clock(), lasting, caller.expires_at):
            return token
        if not (flight := self._flights.get(key)):
            flight = self._flights[key] = asyncio.create_task(self._exchange(caller, wanted))
            flight.add_done_callback(partial(self._land, key))
        return await asyncio.shield(flight)  # a caller that leaves must not cancel it for the others

    def _land(self, key: _Key, flight: asyncio.Task[ExchangedToken]) -> None:
        if self._flights.get(key) is flight:  # otherwise there were too many, and it was dropped
            del self._flights[key]
        if not flight.cancelled() and not flight.exception():
            self._tokens[key] = flight.result()

    async def _exchange(self, caller: Principal, wanted: TokenRequest) -> ExchangedToken:
        left = caller.expires_at - self._clock() - REPORTING_MARGIN
        try:
            async with asyncio.timeout(min(SECONDS, left)):
                token = await self._ask(caller, wanted)
            # If it was revoked during the exchange, the token is useless.
            if not (status := self._revocations.check_caller(caller)):
                raise Denied(status.reason, status.detail)
        except (Denied, TimeoutError) as error:
            refusal = error if isinstance(error, Denied) else Denied(Reason.ISSUER_UNAVAILABLE, "no answer in time")
            await self._note(caller, wanted, refusal.reason, detail=refusal.detail)
            raise refusal from error
        await self._note(caller, wanted, Reason.GRANTED, token_id=token.token_id)
        return token

    async def _ask(self, caller: Principal, wanted: TokenRequest) -> ExchangedToken:
        status, content = await self._issuer.post("token_endpoint", wanted.form(caller.token))
        if status != 200:
            raise Denied(Reason.EXCHANGE_REFUSED, f"{content.get('error')}: {content.get('error_description')}")
        return self._check_issued(content, caller, wanted)

    def _check_issued(self, content: dict[str, Any], caller: Principal, wanted: TokenRequest) -> ExchangedToken:
        """Check the token that was issued: the issuer is trusted, but the realm's configuration may be wrong."""
        try:
            value, kind = str(content["access_token"]), str(content["token_type"]).lower()
            # RFC 8693 section 2.2.1: egress sends it as a bearer token, and the next hop takes access tokens.
            if kind != "bearer" or content["issued_token_type"] != ACCESS_TOKEN:
                raise Denied(Reason.EXCHANGE_REFUSED, "what came back is not a bearer access token")
            # It came from the issuer itself, and the next hop verifies it; here only its claims are compared.
            claims = jwt.decode(value, options={"verify_signature": False})
            granted = frozenset(str(claims["scope"]).split(" ")) - {""}
            groups = frozenset(map(str, claims.get("groups", [])))
            # control: exchanged-for-same-subject
            same = claims["sub"] == caller.subject and claims["aud"] in (wanted.audience, [wanted.audience])
            less = granted == wanted.scopes and groups <= ({wanted.department} if wanted.department else caller.groups)
            # The script issues an expired token (`exp` 1) if a check of the chain failed.
            chained = self._chain_claim is None or self._chain_claim in claims
            if not same or not less or not chained or not self._clock() < claims["exp"]:
                raise Denied(Reason.EXCHANGE_REFUSED, "what came back is not what was asked for")
            return ExchangedToken(wanted.audience, str(claims["jti"]), min(claims["exp"], caller.expires_at), value)
        except (KeyError, TypeError, jwt.InvalidTokenError) as error:
            raise Denied(Reason.ISSUER_UNAVAILABLE, "the answer is not a token") from error

    async def _note(
        self,
        caller: Principal,
        wanted: TokenRequest,
        reason: ReasonCode,
        *,
        token_id: str | None = None,
        detail: str = "",
    ) -> None:
        await self._record(
            Exchange(
                audience=wanted.audience,
                scopes=tuple(sorted(map(as_name, wanted.scopes))),
                department=sanitize(wanted.department) if wanted.department else None,
                lifetime=wanted.lifetime and wanted.lifetime * MICROSECONDS,
                parent_token_id=caller.token_id,
                token_id=token_id,
                decision=Decided.of(Decision(allowed=reason is Reason.GRANTED, reason=reason, detail=detail)),
                principal=Caller.of(caller),
            )
        )


def _expires_soon(token: ExchangedToken, now: float, lasting: float, latest: float) -> bool:
    end = token.expires_at
    return end - (min(lasting, MARGIN) if end >= latest else lasting) <= now
