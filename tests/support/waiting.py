"""Waits for a condition, and never for ever."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

MOST = 60  # s: far more than anything that is waited for here takes, on a busy machine too


async def until(met: Callable[[], object]) -> None:
    """Wait until `met` returns something true; raise TimeoutError after `MOST` seconds."""
    async with asyncio.timeout(MOST):
        while not met():
            await asyncio.sleep(0.001)


@asynccontextmanager
async def serving(server: uvicorn.Server) -> AsyncIterator[int]:
    """Let a server listen for a block; yield its port."""
    work = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await work


@contextmanager
def served(app: ASGIApp, **how: Any) -> Iterator[int]:
    """Serve an app from a thread of its own; yield its port."""
    own: dict[str, Any] = {"port": 0, "interface": "asgi3", "log_config": None, "timeout_graceful_shutdown": 1}
    server = uvicorn.Server(uvicorn.Config(app, **own, **how))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until_started(lambda: server.started or not thread.is_alive())
    assert thread.is_alive()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def until_started(started: Callable[[], object]) -> None:
    """Wait in the same way where there is no event loop."""
    deadline = time.monotonic() + MOST
    while not started():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)
