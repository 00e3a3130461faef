"""Introspects each token that is used for a high-risk scope, on every call (RFC 7662).

The called party introspects with its own identity, because Keycloak answers only a token's audience.  It reads only
`active` from the answer; the claims come from the signed token.
"""

import json

import httpx

from zerotrust.decision import Denied, Reason
from zerotrust.identity import Principal
from zerotrust.issuer.discovery import Discovery
from zerotrust.issuer.exchange import CLIENT_ASSERTION, Assertions
from zerotrust.limits.answers import MAX_ANSWER, ask
from zerotrust.spiffe.workload import WorkloadError


class Introspector:
    """Introspects tokens at one issuer, as one party."""

    def __init__(
        self, *, issuer: Discovery, workload: Assertions, http: httpx.AsyncClient, high_risk: frozenset[str]
    ) -> None:
        """`high_risk`: the permissions for which tokens are introspected."""
        self._issuer, self._workload, self._http, self.high_risk = issuer, workload, http, high_risk

    async def __call__(self, caller: Principal, permission: str) -> None:
        """Introspect the caller's token, if this permission is of high risk.

        Raises `Denied`: revoked, issuer or identity unavailable, or issuer untrusted.  Any unclear answer denies.
        """
        if permission not in self.high_risk:  # control: introspection-not-cached
            return
        try:
            form = {
                "client_assertion_type": CLIENT_ASSERTION,
                "client_assertion": await self._workload.assertion(self._issuer.issuer),
                "token": caller.token,
            }
            url = (await self._issuer.metadata("introspection_endpoint")).introspection_endpoint
            status, answer = await ask(self._http, "POST", url, most=MAX_ANSWER, data=form)
            active = json.loads(answer)["active"] if status == 200 else None  # control: introspection-status
        except WorkloadError as error:
            raise Denied(Reason.IDENTITY_UNAVAILABLE, str(error)) from error
        except (httpx.HTTPError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise Denied(Reason.ISSUER_UNAVAILABLE, type(error).__name__) from error
        if active is False:
            raise Denied(Reason.REVOKED, "the issuer says that it is not active")
        if active is not True:  # control: introspection-active
            raise Denied(Reason.ISSUER_UNAVAILABLE, f"no answer to whether it is active, status {status}")
