"""A service that is bound to workloads (rung 2), with an identity in a test's own hands."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx

from testkit import CA, Issuer
from testkit.issuer import ISSUER
from testkit.wire import FOREVER, lifespan, with_peer
from tests.support.existing_service import ROUTES, existing, plain_claims
from zerotrust.spiffe.svid import Peer, Svid
from zerotrust.standalone import bound_service

QUOTES, STOCK = "spiffe://agents.example/agent/reader", "spiffe://agents.example/tool/documents"
"""The service and the one that it calls.  The issuer in memory knows them by these names."""
FRONTEND, OTHER = "spiffe://shop.example/frontend", "spiffe://shop.example/other"
HERE = "https://quotes.shop.example:8443"


class Workload:
    """Has one SVID, instead of a socket."""

    def __init__(self, svid: Svid) -> None:
        self.svid = svid

    def on_renewal(self, call: Callable[[Svid], None]) -> None:
        """Keep the one that there is."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        yield

    async def assertion(self, _audience: str) -> str:
        return f"assertion of {self.svid.id}"


def in_process(issuer: Issuer) -> httpx.AsyncClient:
    """Return a client that reaches this issuer in memory."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(issuer.app))


def bound(issuer: Issuer, **changed: Any) -> bound_service.BoundService:
    """Return the service; a client without a certificate, `cli`, may call it, too."""
    given = {"audience": QUOTES, "address": HERE, "callers": {"shop": FRONTEND, "other": OTHER, "cli": None}}
    return bound_service.BoundService(**{"issuer": ISSUER, "http": in_process(issuer), **given, **changed})


def claims(**changed: Any) -> dict[str, Any]:
    """Return the claims of a token for the service, which was issued to the frontend."""
    return plain_claims(**{"aud": QUOTES, **changed})


Ask = Callable[..., Any]


@asynccontextmanager
async def serving(issuer: Issuer, folder: Path, **changed: Any) -> AsyncIterator[Ask]:
    """Run the gate around an app; the block gets what sends a request to it, from a peer with a token."""
    svid = CA("agents.example").svid("agent/reader")
    with patch.object(bound_service, "Workload", lambda: Workload(svid)):
        guarding = bound(issuer, **changed).guarding(existing(), ROUTES, folder / "journal.jsonl")
        async with guarding as (gate, _), lifespan(gate):

            async def ask(token: str, peer: str | None = FRONTEND, **headers: str) -> httpx.Response:
                app = with_peer(gate, Peer(peer, FOREVER))
                sent = {"authorization": f"{'Bearer' if peer else 'DPoP'} {token}", **headers}
                async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HERE) as client:
                    return await client.get("/quotes/tea", headers=sent)

            yield ask
