"""Ends the work for a client that has left: a model that nobody listens to costs as much as any other."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Any, Self, TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from inference.answer import Head, Piece

T = TypeVar("T")


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T | None:
    """Return what `work` returns, or raise what it raises.  If the client leaves first, cancel it and return None."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return await working if working.done() else None
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class Events(StreamingResponse):
    """A stream of events, whose source is closed when it ends, also if the client has left."""

    def __init__(self, head: Head, first: Piece, source: AsyncGenerator[Piece, None], *, with_usage: bool) -> None:
        self._source = source
        self._events = head.events(_joined(first, source), with_usage=with_usage)
        super().__init__(self._events, media_type="text/event-stream")

    @classmethod
    async def begun(
        cls, request: Request, head: Head, source: AsyncGenerator[Piece, None], *, with_usage: bool
    ) -> Self | None:
        """Return it once there is a first piece; None if the client has left.

        Raises `Denied`: a model that fails before it says anything is a refusal like any other.
        """
        first = await unless_gone(request, anext(source))
        return cls(head, first, source, with_usage=with_usage) if first else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._source), aclosing(self._events):
            await super().__call__(scope, receive, send)


async def _joined(first: Piece, rest: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
    yield first
    async for piece in rest:
        yield piece
