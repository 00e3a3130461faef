"""confirm(): for what is worth it, the issuer itself is asked on that very call whether a token is active (RFC 7662).

Asked with the identity of the party that was called, for Keycloak answers only whom a token is for.  Of the answer
nothing but `active` is read: what the token says, its signature says.
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
    """Asks one issuer, as one party."""

    def __init__(
        self, *, issuer: Discovery, workload: Assertions, http: httpx.AsyncClient, high_risk: frozenset[str]
    ) -> None:
        """`high_risk`: the permissions for which it asks."""
        self._issuer, self._workload, self._http, self.high_risk = issuer, workload, http, high_risk

    async def __call__(self, caller: Principal, permission: str) -> None:
        """Ask, where this permission is worth it.

        Raises `Denied`: revoked, issuer or identity unavailable, or issuer untrusted.  Whatever is no clear yes is not
        one.
        """
        if permission not in self.high_risk:  # control: introspection-not-cached
            return
        try:
            form = {
                "client_assertion_type": CLIENT_ASSERTION,
                "client_assertion": await self._workload.assertion(self._issuer.issuer),
                "token": caller.token,
            }
            url = (await self._issuer.metadata()).introspection_endpoint
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
