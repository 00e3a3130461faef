"""This process's own identity, from the SPIFFE Workload API it was given (`SPIFFE_ENDPOINT_SOCKET`)."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from spiffe import WorkloadApiClient
from spiffe.errors import PySpiffeError

from zerotrust.errors import ZeroTrustError
from zerotrust.svid import LONGEST_CERTIFICATE, LONGEST_JWT_SVID, Svid

SECONDS_TO_WAIT = 5
SECONDS_BETWEEN_TRIES = 1

log = logging.getLogger(__name__)

Found = TypeVar("Found")


class WorkloadError(ZeroTrustError):
    """No identity was issued to this process, or nobody is there to issue one."""


class Workload:
    """Asks for SVIDs. One per process: its client keeps a connection."""

    def __init__(self) -> None:
        self._client: WorkloadApiClient | None = None
        self._lock = threading.Lock()
        self._svid: Svid | None = None
        self._renewed: list[Callable[[Svid], None]] = []

    @property
    def svid(self) -> Svid:
        """The current X.509-SVID.  Raises `WorkloadError` where there is none, or none that is still good."""
        if self._svid is None or self._svid.not_after <= time.time():
            raise WorkloadError("no X.509-SVID, or one that has ended")
        return self._svid

    def on_renewal(self, call: Callable[[Svid], None]) -> None:
        """Have `call` called with each new SVID, in the event loop's thread."""
        self._renewed.append(call)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Wait for the first SVID, and renew it for as long as the block runs."""
        while self._svid is None:
            if (svid := await self._tried()) is None:
                await asyncio.sleep(SECONDS_BETWEEN_TRIES)
            self._svid = svid
        renewing = asyncio.create_task(self._renew())
        try:
            yield
        finally:
            renewing.cancel()
            self.close()

    async def _renew(self) -> None:
        """Renew at half of its life; where that fails again and again, so that what was restored has it back."""
        svid = self._svid
        while True:
            wait = (svid.not_after - time.time()) / 2 if svid else 0
            await asyncio.sleep(max(wait, SECONDS_BETWEEN_TRIES))
            if (svid := await self._tried()) and not self._used(svid):
                svid = None  # another one, in a second

    def _used(self, svid: Svid) -> bool:
        """Have everybody go on with a new SVID; return whether all of them could."""
        self._svid, all_of_them = svid, True
        for call in self._renewed:
            try:
                call(svid)
            except Exception:  # no descriptor left, for one: the others must not go without, nor the next renewal
                log.exception("a new SVID could not be used")
                all_of_them = False
        return all_of_them

    async def _tried(self) -> Svid | None:
        try:
            return await asyncio.to_thread(self._with_client, _x509)
        except WorkloadError as error:
            log.warning("%s", error)
            return None

    async def assertion(self, audience: str) -> str:
        """Return a fresh JWT-SVID for one audience (SPIFFE JWT-SVID section 3.2).

        Never kept and never logged: until it ends, whoever holds it can pass for us at that audience.
        Raises `WorkloadError`.
        """
        return await asyncio.to_thread(self._with_client, lambda client: _jwt(client, audience))

    def _with_client(self, fetch: Callable[[WorkloadApiClient], Found]) -> Found:
        client = None
        try:
            with self._lock:  # the client blocks, so this is another thread
                client = self._client = self._client or WorkloadApiClient(default_timeout=SECONDS_TO_WAIT)
            return fetch(client)
        except PySpiffeError as error:
            # Left to itself, a gRPC channel takes up to a minute to find back to an authority that was away. It has
            # to be closed, too: as long as it lives, new channels to the same address share its waiting.
            self._close(client)
            raise WorkloadError(f"no SVID: {error}") from error

    def close(self) -> None:
        """Close the connection. The next call would open a new one."""
        self._close(self._client)

    def _close(self, client: WorkloadApiClient | None) -> None:
        with self._lock:
            if client is self._client:
                self._client = None
        if client:
            client.close()


def _x509(client: WorkloadApiClient) -> Svid:
    context = client.fetch_x509_context()
    found = context.default_svid
    bundle = context.x509_bundle_set.get_bundle_for_trust_domain(found.spiffe_id.trust_domain)
    if bundle is None or not isinstance(found.private_key, EllipticCurvePrivateKey):
        raise WorkloadError("an SVID without its trust domain's authorities, or with a key of another kind")
    authorities = tuple(bundle.x509_authorities)
    svid = Svid(id=str(found.spiffe_id), certificate=found.leaf, key=found.private_key, bundle=authorities)
    if svid.life > LONGEST_CERTIFICATE:  # it would be the measure of all others'
        raise WorkloadError(f"an SVID of {svid.life:.0f} s, where none may live longer than {LONGEST_CERTIFICATE}")
    return svid


def _jwt(client: WorkloadApiClient, audience: str) -> str:
    svid = client.fetch_jwt_svid({audience})
    if (left := svid.expiry - time.time()) > LONGEST_JWT_SVID:
        raise WorkloadError(f"a JWT-SVID of {left:.0f} s, where none may live longer than {LONGEST_JWT_SVID}")
    return str(svid.token)
