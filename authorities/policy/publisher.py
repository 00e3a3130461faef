"""Signs the policies in force, and brings them to the registry, which passes them on to all services."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import httpx
import orjson
from cryptography import x509

from authorities.policy.reasons import PolicyReason
from authorities.policy.versions import Version
from zerotrust.decision import Denied
from zerotrust.limits.strict_json import strict_object
from zerotrust.registry.policy_bundle import TYPE
from zerotrust.registry.snapshot import PolicyDocument
from zerotrust.spiffe.statement import sign
from zerotrust.spiffe.svid import Svid, WorkloadError

PATH = "/policy"
"""The registry's path for the policies."""
SECONDS_BETWEEN = 15
"""Seconds from a success to the next publication: a registry that has lost the policies gets them again."""
SECONDS_AFTER_FAILURE = 1

log = logging.getLogger(__name__)


class Publisher:
    """Keeps the policies in force: their life ends with the certificate that signed them."""

    def __init__(
        self,
        registry: str,
        *,
        http: httpx.AsyncClient,
        identity: Callable[[], Svid],
        active: Callable[[], Awaitable[Version]],
        clock: Callable[[], float],
    ) -> None:
        """`registry` is its address; `active` returns the version on record; `clock`: seconds since the epoch."""
        self._url, self._http, self._identity, self._active = f"{registry}{PATH}", http, identity, active
        self._clock, self._renewed, self._turn = clock, asyncio.Event(), asyncio.Lock()
        self._signed: tuple[int, x509.Certificate, str] | None = None

    def renew(self, _svid: Svid) -> None:
        """Sign anew soon: there is a new certificate."""
        self._renewed.set()

    async def publish(self, version: Version) -> None:
        """Return when the registry has taken this version.

        Raises `Denied`: with a status below 500 if the registry refuses it, and `registry_unavailable` if it is away.
        """
        async with self._turn:  # so that no older one comes after a newer one
            try:
                answer = await self._http.post(self._url, content=self._statement(version))
            except (httpx.HTTPError, WorkloadError) as error:
                raise Denied(PolicyReason.REGISTRY_UNAVAILABLE, f"{type(error).__name__} {error}") from error
        if answer.status_code == 204:
            return
        why = f"the registry answers {answer.status_code}: {_refusal_reason(answer)}"
        if answer.status_code in (409, 422):  # it has judged the policies; no other status is about them
            raise Denied(PolicyReason.POLICY_UNFIT, why, advice=why)
        raise Denied(PolicyReason.REGISTRY_UNAVAILABLE, why)

    async def run(self) -> None:
        """Publish the version in force again and again until cancelled, and at once with each new certificate."""
        told = ""
        while True:
            self._renewed.clear()
            try:
                await self.publish(await self._active())
                wait, why = SECONDS_BETWEEN, ""
            except Denied as refusal:
                wait, why = SECONDS_AFTER_FAILURE, str(refusal)
            if why != told:
                log.warning("%s", why or "the registry takes the policies again")
            told = why
            try:
                async with asyncio.timeout(wait):
                    await self._renewed.wait()
            except TimeoutError:
                pass

    def _statement(self, version: Version) -> str:
        """Return the version, signed once with each certificate, so that the registry recognizes the same text."""
        svid = self._identity()
        if self._signed is None or self._signed[:2] != (version.number, svid.certificate):
            text = sign_bundle(version.number, version.content.document, svid, now=self._clock())
            self._signed = version.number, svid.certificate, text
        return self._signed[2]


def _refusal_reason(answer: httpx.Response) -> str:
    try:
        said = strict_object(answer.content)
    except ValueError:
        return "no reason"
    return str(said.get("advice") or said.get("reason"))


def sign_bundle(version: int, document: PolicyDocument, svid: Svid, *, now: float) -> str:
    """Return a bundle of this version, a number from 1 to `MAX_VERSION`, signed at `now` (seconds since the epoch).

    It lives until the signing certificate ends: an authority that lost its identity cannot keep its policies in force.
    """
    claims = {
        "iss": svid.id,
        "aud": f"spiffe://{svid.trust_domain}",
        "iat": now,
        "exp": svid.not_after,
        "version": version,
        "digest": document.digest,
        **document.model_dump(mode="json"),
    }
    return sign(orjson.dumps(claims), svid, kind=TYPE)
