"""This process's own identity, from the SPIFFE Workload API it was given (`SPIFFE_ENDPOINT_SOCKET`)."""

import asyncio

from spiffe import WorkloadApiClient
from spiffe.errors import PySpiffeError

SECONDS_TO_WAIT = 5


class WorkloadError(Exception):
    """No identity was issued to this process, or nobody is there to issue one."""


class Workload:
    """Asks for JWT-SVIDs. One per process: its client keeps a connection."""

    def __init__(self) -> None:
        self._client: WorkloadApiClient | None = None

    async def assertion(self, audience: str) -> str:
        """Return a fresh JWT-SVID for one audience (SPIFFE JWT-SVID section 3.2).

        Never kept and never logged: until it ends, whoever holds it can pass for us at that audience.
        Raises `WorkloadError`.
        """
        return await asyncio.to_thread(self._fetch, audience)  # the client blocks

    def _fetch(self, audience: str) -> str:
        try:
            # Two first calls at once make two clients; the one that is not kept ends with its call.
            client = self._client = self._client or WorkloadApiClient(default_timeout=SECONDS_TO_WAIT)
            return client.fetch_jwt_svid({audience}).token
        except PySpiffeError as error:
            # A gRPC channel takes up to a minute to find back to an authority that was away; a new one does not.
            # The old one is let go, not closed: another call may still be under way on it.
            self._client = None
            raise WorkloadError(f"no JWT-SVID for {audience!r}: {error}") from error

    def close(self) -> None:
        """Close the connection. The next call would open a new one."""
        client, self._client = self._client, None
        if client:
            client.close()
