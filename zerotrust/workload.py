"""This process's own identity, from the SPIFFE Workload API it was given (`SPIFFE_ENDPOINT_SOCKET`)."""

import asyncio
import threading

from spiffe import WorkloadApiClient
from spiffe.errors import PySpiffeError

SECONDS_TO_WAIT = 5


class WorkloadError(Exception):
    """No identity was issued to this process, or nobody is there to issue one."""


class Workload:
    """Asks for JWT-SVIDs. One per process: its client keeps a connection."""

    def __init__(self) -> None:
        self._client: WorkloadApiClient | None = None
        self._lock = threading.Lock()

    async def assertion(self, audience: str) -> str:
        """Return a fresh JWT-SVID for one audience (SPIFFE JWT-SVID section 3.2).

        Never kept and never logged: until it ends, whoever holds it can pass for us at that audience.
        Raises `WorkloadError`.
        """
        return await asyncio.to_thread(self._fetch, audience)  # the client blocks

    def _fetch(self, audience: str) -> str:
        client = None
        try:
            with self._lock:
                client = self._client = self._client or WorkloadApiClient(default_timeout=SECONDS_TO_WAIT)
            return client.fetch_jwt_svid({audience}).token
        except PySpiffeError as error:
            # Left to itself, a gRPC channel takes up to a minute to find back to an authority that was away. It has
            # to be closed, too: as long as it lives, new channels to the same address share its waiting.
            self._close(client)
            raise WorkloadError(f"no JWT-SVID for {audience!r}: {error}") from error

    def close(self) -> None:
        """Close the connection. The next call would open a new one."""
        self._close(self._client)

    def _close(self, client: WorkloadApiClient | None) -> None:
        with self._lock:
            if client is self._client:
                self._client = None
        if client:
            client.close()
