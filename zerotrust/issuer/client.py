"""Asks the issuer as this workload, which authenticates with a JWT-SVID: it has no secret at the issuer."""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import httpx

from zerotrust.decision import Denied, Reason
from zerotrust.issuer.discovery import Discovery
from zerotrust.limits.answers import MAX_ANSWER, SECONDS, ask
from zerotrust.limits.strict_json import strict_object
from zerotrust.spiffe.svid import WorkloadError

CLIENT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"


class Assertions(Protocol):
    """Authenticates this workload."""

    async def assertion(self, audience: str) -> str:
        """Return a JWT-SVID for `audience`."""


def credential(assertion: str) -> dict[str, str]:
    """Return the fields of a form by which a client authenticates with a JWT-SVID (RFC 7521 section 4.2)."""
    return {"client_assertion_type": CLIENT_ASSERTION, "client_assertion": assertion}


class IssuerClient:
    """One issuer, as one workload uses it."""

    def __init__(self, realm: Discovery, workload: Assertions, http: httpx.AsyncClient) -> None:
        self.realm, self._workload, self._http = realm, workload, http

    async def post(self, endpoint: str, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """Post a form to an endpoint, by its name in the metadata.  Return the status and the JSON object, if any.

        Raises `Denied`: issuer unavailable, also for a status from 500 on; issuer untrusted; identity unavailable.
        """
        try:
            async with asyncio.timeout(SECONDS):
                form = {**form, **credential(await self._workload.assertion(self.realm.issuer))}
                url = getattr(await self.realm.metadata(endpoint), endpoint)
                status, answer = await ask(self._http, "POST", url, most=MAX_ANSWER, data=form)
            content = strict_object(answer or b"{}")
        except WorkloadError as error:
            raise Denied(Reason.IDENTITY_UNAVAILABLE, str(error)) from error
        except (httpx.HTTPError, ValueError, TimeoutError) as error:
            raise Denied(Reason.ISSUER_UNAVAILABLE, type(error).__name__) from error
        if status >= 500:
            raise Denied(Reason.ISSUER_UNAVAILABLE, f"status {status}")
        return status, content
