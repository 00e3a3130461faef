"""Parties in one process: requests go to apps as they would over mutual TLS, and nothing listens anywhere."""

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
"""A time, or a number of seconds, that no test sees the end of."""


def fresh_revocations() -> Revocations:
    """Nobody is revoked, and that stays known for as long as any test takes."""
    revocations = Revocations(clock=time.monotonic)
    revocations.bound = FOREVER
    revocations.replace(0, {})
    revocations.confirm(0, 0.0)
    return revocations


def over_tls(app: ASGIApp, peer: Peer) -> ASGIApp:
    """The app, as it is called over a connection with that peer at the other end."""

    async def called(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": {**scope.get("state", {}), "peer": peer}}, receive, send)

    return called


class _Wire:
    """Takes requests to apps by their origin.  Each runs in its own context and to its end, as behind a socket."""

    _library: Any

    def __init__(self, apps: Mapping[str, ASGIApp], peer: Peer) -> None:
        """`peer` is who the apps see at the other end."""
        self._apps, self._peer = apps, peer

    async def handle_async_request(self, request: Any) -> Any:
        app = self._apps.get(f"{request.url.scheme}://{request.url.netloc.decode()}")
        if app is None:
            raise self._library.ConnectError("nobody listens there", request=request)
        to_app = self._library.ASGITransport(over_tls(app, self._peer), raise_app_exceptions=False)
        handled = to_app.handle_async_request(request)
        return await asyncio.shield(asyncio.create_task(handled, context=contextvars.Context()))


class Wire(_Wire, httpx.AsyncBaseTransport):
    """The network of a test, for an HTTP client."""

    _library = httpx


class MCPWire(_Wire, httpx2.AsyncBaseTransport):
    """The network of a test, for the HTTP client of the MCP SDK."""

    _library = httpx2


@asynccontextmanager
async def alive(app: ASGIApp) -> AsyncIterator[None]:
    """Run an app's lifespan as a server does: in one task, from start to end."""
    said: asyncio.Queue[Message] = asyncio.Queue()
    heard: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}

    async def live() -> None:
        await app(scope, said.get, heard.put)

    living = asyncio.create_task(live())
    await said.put({"type": "lifespan.startup"})
    started = await heard.get()
    if started["type"] != "lifespan.startup.complete":
        raise RuntimeError(f"the app did not start: {started}")
    try:
        yield
    finally:
        await said.put({"type": "lifespan.shutdown"})
        await living
