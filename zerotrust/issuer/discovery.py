"""Finds the issuer's endpoints in its metadata (OpenID Connect Discovery 1.0, RFC 8414).

This document determines where keys are fetched and tokens are sent.  So it is accepted only if it is the issuer's own,
and all endpoints are at the issuer's origin: assertions and users' tokens are sent nowhere else.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from zerotrust.decision import Denied, Reason
from zerotrust.errors import ZeroTrustError
from zerotrust.limits.answers import ask
from zerotrust.limits.strict_json import strict_object

WELL_KNOWN = "/.well-known/openid-configuration"
MAX_METADATA = 64 * 1024
"""Bytes of the document: Keycloak's has 7 KiB."""
MAX_AGE = 300
"""Seconds for which it is used: as long as a signing key may be used without being fetched again."""


class Metadata(BaseModel):
    """The members of the document that services and clients use; "" is an endpoint that the issuer does not have."""

    model_config = ConfigDict(frozen=True)

    issuer: str
    jwks_uri: str
    token_endpoint: str = ""
    introspection_endpoint: str = ""
    authorization_endpoint: str = ""
    device_authorization_endpoint: str = ""
    end_session_endpoint: str = ""
    revocation_endpoint: str = ""


class UntrustedMetadata(ZeroTrustError, ValueError):
    """The document is not the issuer's own, or names endpoints elsewhere; the text names the fault."""


class Discovery:
    """One issuer's metadata: fetched on demand, once for all that wait, and cached for `MAX_AGE`."""

    def __init__(self, issuer: str, *, http: httpx.AsyncClient, clock: Callable[[], float] = time.monotonic) -> None:
        self.issuer, self._http, self._clock = issuer, http, clock
        self._known: tuple[float, Metadata] | None = None
        self._reading: asyncio.Task[Metadata] | None = None

    async def metadata(self, *needed: str) -> Metadata:
        """Return the metadata, with the endpoints of these names.

        Raises `Denied`: `issuer_unavailable` if the issuer returns none, `issuer_untrusted` if they are not its own or
        lack an endpoint.
        """
        try:
            metadata = await self._fresh()
            check_needed(metadata, needed)
            return metadata
        except httpx.HTTPError as error:
            raise Denied(Reason.ISSUER_UNAVAILABLE, f"its metadata: {str(error) or type(error).__name__}") from error
        except UntrustedMetadata as error:
            raise Denied(Reason.ISSUER_UNTRUSTED, str(error)) from error

    async def _fresh(self) -> Metadata:
        if self._known and self._clock() - self._known[0] <= MAX_AGE:
            return self._known[1]
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        return await asyncio.shield(self._reading)  # a caller that leaves must not cancel it for the others

    async def _read(self) -> Metadata:
        asked_at = self._clock()
        metadata = await discover(self.issuer, self._http)
        self._known = asked_at, metadata
        return metadata


def check_needed(metadata: Metadata, needed: Iterable[str]) -> None:
    """Raise `UntrustedMetadata` if the issuer lacks one of these endpoints."""
    if lacking := [name for name in needed if not getattr(metadata, name)]:
        raise UntrustedMetadata(f"its metadata lack {', '.join(lacking)}")


async def discover(issuer: str, http: httpx.AsyncClient, *needed: str) -> Metadata:
    """Fetch an issuer's metadata (OpenID Connect Discovery 1.0 section 4.1), with the endpoints of these names.

    Raises `UntrustedMetadata`, and `httpx.HTTPError` if it returns none.
    """
    if urlsplit(issuer).scheme != "https":
        raise UntrustedMetadata(f"the issuer {issuer} is not an https address (RFC 8414 section 2)")
    try:
        status, answer = await ask(http, "GET", issuer.removesuffix("/") + WELL_KNOWN, most=MAX_METADATA)
        if status != 200:
            raise httpx.RemoteProtocolError(f"status {status}")
        metadata = check_document(answer, issuer)
        check_needed(metadata, needed)
        return metadata
    except ValidationError as error:
        wrong = ", ".join(str(found["loc"][0]) for found in error.errors())
        raise UntrustedMetadata(f"its metadata lack {wrong}") from error
    except UntrustedMetadata:
        raise
    except ValueError as error:
        raise UntrustedMetadata(f"its metadata: {error}") from error


def check_document(document: bytes, issuer: str) -> Metadata:
    """Return the metadata of a document, which has to be this issuer's.  Raises `ValueError`.  Pure."""
    metadata = Metadata.model_validate(strict_object(document))
    # The texts must be equal: an issuer that could name another could impersonate it (RFC 8414 sections 3.3 and 6.2).
    if metadata.issuer != issuer:  # control: metadata-issuer
        raise UntrustedMetadata(f"the issuer is {issuer} here, and {metadata.issuer} in its own metadata"[:200])
    origin = urlsplit(issuer)[:2]
    for name, address in metadata:
        if address and urlsplit(address)[:2] != origin:  # control: endpoints-at-issuer
            raise UntrustedMetadata(f"its {name} is not at {'://'.join(origin)}: {address}"[:200])
    return metadata
