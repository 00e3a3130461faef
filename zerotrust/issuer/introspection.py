"""Introspects each token that is used for a high-risk scope, on every call (RFC 7662).

The called party introspects with its own identity, because Keycloak answers only a token's audience.  It reads only
`active` from the answer; the claims come from the signed token.
"""

from zerotrust.decision import Denied, Reason
from zerotrust.identity import Principal
from zerotrust.issuer.client import IssuerClient


class Introspector:
    """Introspects tokens at one issuer, as one party."""

    def __init__(self, issuer: IssuerClient, high_risk: frozenset[str] | None) -> None:
        """`high_risk`: the permissions for which tokens are introspected; None for all."""
        self._issuer, self.high_risk = issuer, high_risk

    async def __call__(self, caller: Principal, permission: str) -> None:
        """Introspect the caller's token, if this permission is of high risk.

        Raises `Denied`: revoked, issuer or identity unavailable, or issuer untrusted.  Any unclear answer denies.
        """
        if self.high_risk is not None and permission not in self.high_risk:  # control: introspection-not-cached
            return
        status, answer = await self._issuer.post("introspection_endpoint", {"token": caller.token})
        active = answer.get("active") if status == 200 else None  # control: introspection-status
        if active is False:
            raise Denied(Reason.REVOKED, "the issuer says that it is not active")
        if active is not True:  # control: introspection-active
            raise Denied(Reason.ISSUER_UNAVAILABLE, f"no answer to whether it is active, status {status}")
