"""Gets this process's own identity from the SPIFFE Workload API at `SPIFFE_ENDPOINT_SOCKET`.

The API sends an X.509-SVID with the trust bundle, and again whenever one of them changes (SPIFFE Workload API section
5.2.1).
"""

import asyncio
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from spiffe import WorkloadApiClient
from spiffe.errors import PySpiffeError
from spiffe.workloadapi.x509_context import X509Context

from zerotrust.spiffe.svid import LONGEST_CERTIFICATE, LONGEST_JWT_SVID, LONGEST_X509_SVID, Svid, WorkloadError

SECONDS_TO_WAIT = 5
"""Seconds for an answer of the Workload API: it takes a few milliseconds.  A try that ends before loses no measurement.
"""
SECONDS_BETWEEN_TRIES = 1
THREADS = 4
"""Requests of this process that the Workload API answers at once; each takes a few milliseconds."""
OVERDUE = 0.9
"""Fraction of an SVID's lifetime.  An authority begins to measure for the next one at half of it, which takes long on a
busy machine.  After `OVERDUE` the stream counts as dead."""
LOST = "StatusCode.UNAVAILABLE"
"""The status in an error's text that says that the connection is lost, or that there was none."""

log = logging.getLogger(__name__)

Found = TypeVar("Found")


class Workload:
    """Fetches SVIDs.  A process has one, because its client keeps a connection."""

    def __init__(self, seconds: float = SECONDS_TO_WAIT) -> None:
        """`seconds`: to wait for an answer."""
        self._seconds = seconds
        self._client: WorkloadApiClient | None = None
        self._threads = ThreadPoolExecutor(THREADS, "workload")  # an app's own threads must not keep it waiting
        self._lock = threading.Lock()
        self._svid: Svid | None = None
        self._renewed: list[Callable[[Svid], None]] = []
        self._first = asyncio.Event()

    @property
    def svid(self) -> Svid:
        """The current X.509-SVID.  Raises `WorkloadError` if there is none, or it has expired."""
        if self._svid is None or self._svid.not_after <= time.time():
            raise WorkloadError("no X.509-SVID, or it has expired")
        return self._svid

    def on_renewal(self, call: Callable[[Svid], None]) -> None:
        """Call `call` with each new SVID or trust bundle, in the event loop's thread."""
        self._renewed.append(call)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Wait for the first SVID, and use each SVID that is sent while the block runs."""
        following = asyncio.create_task(self._follow())
        log.info("waiting for the first SVID: attestation compares every file of this party with what was approved")
        try:
            await self._first.wait()
            yield
        finally:
            following.cancel()
            self.close()

    async def _follow(self) -> None:
        """Use each SVID that is sent; ask again if the stream ends or is overdue, or an SVID cannot be used."""
        logged = ""
        while True:
            try:
                await self._use_sent_svids(self._connected())  # not in a thread: all of them may wait for JWT-SVIDs
            except WorkloadError as error:
                if str(error) != logged:  # it may be so for hours
                    log.warning("%s", logged := str(error))
            except Exception:  # the task must not end, or this process would lose its identity at notAfter
                log.exception("the SVID that was sent could not be used")
            await asyncio.sleep(SECONDS_BETWEEN_TRIES)

    async def _use_sent_svids(self, client: WorkloadApiClient) -> None:
        """Return when an SVID could not be used.  Raises `WorkloadError` when the stream ends or is overdue."""
        loop, sent = asyncio.get_running_loop(), asyncio.Queue[X509Context | Exception]()

        def put(item: X509Context | Exception) -> None:
            with suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(sent.put_nowait, item)

        def fail(error: Exception) -> None:  # with the authority's words, which the client has only while it calls this
            said = getattr(sys.exception(), "details", str)()
            put(WorkloadError(f"{error}: {said}" if said else str(error)))

        stream = client.stream_x509_contexts(put, fail, retry_connect=False)
        wait: float = LONGEST_X509_SVID  # attestation measures this process first, which takes long on a busy machine
        try:
            while self._use(svid := svid_of(await _next(sent, wait))):
                wait = max((svid.not_after - time.time()) * OVERDUE, SECONDS_BETWEEN_TRIES)
        except WorkloadError as error:
            self._close_if_lost(client, error)
            raise
        finally:
            stream.cancel()

    def _use(self, svid: Svid) -> bool:
        """Make each user of the SVID switch to the new SVID; return whether all of them succeeded."""
        self._svid, succeeded = svid, True
        self._first.set()
        for call in self._renewed:
            try:
                call(svid)
            except Exception:  # for example, no descriptor is left; the other users must still be renewed
                log.exception("a new SVID could not be used")
                succeeded = False
        return succeeded

    async def fetch(self) -> Svid:
        """Return an X.509-SVID, for a process that needs no second one.  Raises `WorkloadError`."""
        return await self._in_thread(lambda client: svid_of(client.fetch_x509_context()))

    async def assertion(self, audience: str) -> str:
        """Return a fresh JWT-SVID for one audience (SPIFFE JWT-SVID section 3.2).

        Never store it and never log it: until it expires, its holder can authenticate as this party at that audience.
        Raises `WorkloadError`.
        """
        return await self._in_thread(lambda client: _jwt(client, audience))

    async def _in_thread(self, fetch: Callable[[WorkloadApiClient], Found]) -> Found:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._with_client, fetch)

    def _with_client(self, fetch: Callable[[WorkloadApiClient], Found]) -> Found:
        client = self._connected()
        try:
            return fetch(client)
        except PySpiffeError as error:
            self._close_if_lost(client, error)
            raise WorkloadError(f"no SVID: {error}") from error

    def _connected(self) -> WorkloadApiClient:
        try:
            with self._lock:  # several threads may be here, because the client blocks
                self._client = self._client or WorkloadApiClient(default_timeout=self._seconds)
                return self._client
        except PySpiffeError as error:
            raise WorkloadError(f"no SVID: {error}") from error

    def _close_if_lost(self, client: WorkloadApiClient, error: Exception) -> None:
        """Close a connection that is lost; after a slow answer or a refusal, others still wait in it.

        A gRPC channel takes up to a minute to reconnect by itself to an authority that was down.  While it is open, new
        channels to the same address share its back-off.
        """
        if LOST in str(error):
            self._close(client)

    def close(self) -> None:
        """Close the connection.  The next call would open a new connection."""
        self._close(self._client)

    def _close(self, client: WorkloadApiClient | None) -> None:
        with self._lock:
            if client is self._client:
                self._client = None
        if client:
            client.close()


async def _next(sent: "asyncio.Queue[X509Context | Exception]", seconds: float) -> X509Context:
    try:
        async with asyncio.timeout(seconds):
            item = await sent.get()
    except TimeoutError:
        item = TimeoutError(f"nothing new for {seconds:.0f} s")
    if not isinstance(item, X509Context):
        raise WorkloadError(f"no SVID: {item}") from item
    return item


def svid_of(context: X509Context) -> Svid:
    """Return the SVID, with its trust bundle, of a Workload API response.  Raises `WorkloadError`."""
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
    if svid.life > LONGEST_CERTIFICATE:  # peers' certificates may live as long as our own
        raise WorkloadError(f"an SVID of {svid.life:.0f} s; the longest allowed is {LONGEST_CERTIFICATE} s")
    return svid


def _jwt(client: WorkloadApiClient, audience: str) -> str:
    svid = client.fetch_jwt_svid({audience})
    if (left := svid.expiry - time.time()) > LONGEST_JWT_SVID:
        raise WorkloadError(f"a JWT-SVID of {left:.0f} s; the longest allowed is {LONGEST_JWT_SVID} s")
    return str(svid.token)
