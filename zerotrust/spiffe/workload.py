"""This process's own identity, from the SPIFFE Workload API it was given (`SPIFFE_ENDPOINT_SOCKET`).

The API sends an X.509-SVID with the trust bundle, and again whenever one of them changes (SPIFFE Workload API section
5.2.1).
"""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from spiffe import WorkloadApiClient
from spiffe.errors import PySpiffeError
from spiffe.workloadapi.x509_context import X509Context

from zerotrust.errors import ZeroTrustError
from zerotrust.spiffe.svid import LONGEST_CERTIFICATE, LONGEST_JWT_SVID, Svid

SECONDS_TO_WAIT = 5
SECONDS_BETWEEN_TRIES = 1
OVERDUE = 0.75
"""Of an SVID's life: an authority has sent another one by then, at half of it, or the stream is dead."""

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
        self._first = asyncio.Event()

    @property
    def svid(self) -> Svid:
        """The current X.509-SVID.  Raises `WorkloadError` where there is none, or none that is still good."""
        if self._svid is None or self._svid.not_after <= time.time():
            raise WorkloadError("no X.509-SVID, or one that has ended")
        return self._svid

    def on_renewal(self, call: Callable[[Svid], None]) -> None:
        """Have `call` called with each new SVID, and with each new trust bundle, in the event loop's thread."""
        self._renewed.append(call)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Wait for the first SVID, and go by each one that is sent for as long as the block runs."""
        following = asyncio.create_task(self._follow())
        try:
            await self._first.wait()
            yield
        finally:
            following.cancel()
            self.close()

    async def _follow(self) -> None:
        """Go by what the authority sends; ask again where that ends, cannot be used, or is overdue."""
        while True:
            client = None
            try:
                client = await asyncio.to_thread(self._with_client, lambda client: client)
                await self._use_what_is_sent(client)
            except WorkloadError as error:
                log.warning("%s", error)
            except Exception:  # nobody else would notice, and this process would end with its certificate
                log.exception("what was sent could not be used")
            # See `_with_client`.
            self._close(client)
            await asyncio.sleep(SECONDS_BETWEEN_TRIES)

    async def _use_what_is_sent(self, client: WorkloadApiClient) -> None:
        """Return where an SVID could not be used.  Raises `WorkloadError` where nothing more will come."""
        sent = _Latest(asyncio.get_running_loop())
        stream = client.stream_x509_contexts(sent.put, sent.put, retry_connect=False)
        wait: float = SECONDS_TO_WAIT
        try:
            while self._used(svid := svid_of(await sent.get(wait))):
                wait = max((svid.not_after - time.time()) * OVERDUE, SECONDS_BETWEEN_TRIES)
        finally:
            stream.cancel()

    def _used(self, svid: Svid) -> bool:
        """Have everybody go on with a new SVID; return whether all of them could."""
        self._svid, all_of_them = svid, True
        self._first.set()
        for call in self._renewed:
            try:
                call(svid)
            except Exception:  # no descriptor left, for one: the others must not go without, nor the next renewal
                log.exception("a new SVID could not be used")
                all_of_them = False
        return all_of_them

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


class _Latest:
    """What a stream's thread has put last, for the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._event = loop, asyncio.Event()
        self._latest: X509Context | Exception | None = None

    def put(self, latest: X509Context | Exception) -> None:
        with suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(self._put, latest)

    def _put(self, latest: X509Context | Exception) -> None:
        self._latest = latest
        self._event.set()

    async def get(self, seconds: float) -> X509Context:
        """Wait for what is new.  Raises `WorkloadError` for an error, and after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError as error:
            raise WorkloadError(f"no SVID: nothing new for {seconds:.0f} s") from error
        self._event.clear()
        if not isinstance(self._latest, X509Context):
            raise WorkloadError(f"no SVID: {self._latest}")
        return self._latest


def svid_of(context: X509Context) -> Svid:
    """Return the SVID and the bundle of an answer of the Workload API.  Raises `WorkloadError`."""
    found = context.default_svid
    bundle = context.x509_bundle_set.get_bundle_for_trust_domain(found.spiffe_id.trust_domain)
    if bundle is None or not isinstance(found.private_key, EllipticCurvePrivateKey):
        raise WorkloadError("an SVID without its trust domain's authorities, or with a key of another kind")
    leaf, *intermediates = found.cert_chain
    svid = Svid(
        id=str(found.spiffe_id),
        certificate=leaf,
        key=found.private_key,
        bundle=tuple(bundle.x509_authorities),
        intermediates=tuple(intermediates),
    )
    if svid.life > LONGEST_CERTIFICATE:  # it would be the measure of all others'
        raise WorkloadError(f"an SVID of {svid.life:.0f} s, where none may live longer than {LONGEST_CERTIFICATE}")
    return svid


def _jwt(client: WorkloadApiClient, audience: str) -> str:
    svid = client.fetch_jwt_svid({audience})
    if (left := svid.expiry - time.time()) > LONGEST_JWT_SVID:
        raise WorkloadError(f"a JWT-SVID of {left:.0f} s, where none may live longer than {LONGEST_JWT_SVID}")
    return str(svid.token)
