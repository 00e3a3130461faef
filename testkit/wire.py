"""Parties in one process: apps get requests as they would over mutual TLS, but without a network."""

import asyncio
import contextvars
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zerotrust.revocation import Revocations
from zerotrust.spiffe.svid import Peer

FOREVER = 1e12
"""A time, or a number of seconds, that is later than the end of any test."""


def fresh_revocations() -> Revocations:
    """Return a copy of revocations that has none, and stays fresh for the whole test."""
    revocations = Revocations(clock=time.monotonic)
    revocations.bound = FOREVER
    revocations.replace(0, {})
    revocations.confirm(0, 0.0)
    return revocations


def with_peer(app: ASGIApp, peer: Peer) -> ASGIApp:
    """Return an app as it is called over a connection with this peer."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": {**scope.get("state", {}), "peer": peer}}, receive, send)

    return call


class _Wire:
    """Sends requests to apps, by origin.  Each request runs in its own context and to its end, as behind a socket."""

    _library: Any

    def __init__(self, apps: Mapping[str, ASGIApp], peer: Peer) -> None:
        """`peer` is what the apps see as the peer."""
        self._apps, self._peer = apps, peer

    async def handle_async_request(self, request: Any) -> Any:
        app = self._apps.get(f"{request.url.scheme}://{request.url.netloc.decode()}")
        if app is None:
            raise self._library.ConnectError("nothing listens at this address", request=request)
        to_app = self._library.ASGITransport(with_peer(app, self._peer), raise_app_exceptions=False)
        handled = to_app.handle_async_request(request)
        return await asyncio.shield(asyncio.create_task(handled, context=contextvars.Context()))


class Wire(_Wire, httpx.AsyncBaseTransport):
    """The network of a test, for an HTTP client."""

    _library = httpx


class MCPWire(_Wire, httpx2.AsyncBaseTransport):
    """The network of a test, for the HTTP client of the MCP SDK."""

    _library = httpx2


@asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncIterator[None]:
    """Run an app's lifespan as a server does: in one task, from start to end."""
    sent: asyncio.Queue[Message] = asyncio.Queue()
    received: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}

    async def run() -> None:
        await app(scope, sent.get, received.put)

    living = asyncio.create_task(run())
    await sent.put({"type": "lifespan.startup"})
    started = await received.get()
    if started["type"] != "lifespan.startup.complete":
        raise RuntimeError(f"the app did not start: {started}")
    try:
        yield
    finally:
        await sent.put({"type": "lifespan.shutdown"})
        await living
