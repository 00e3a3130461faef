"""A stream of events ends with its client: a model that nobody listens to costs as much as any other."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Self

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from inference.answer import Head, Piece


class Events(StreamingResponse):
    """A stream of events, whose source is closed when it ends: also if the client has left."""

    def __init__(self, head: Head, first: Piece, source: AsyncGenerator[Piece, None], *, with_usage: bool) -> None:
        self._source = source
        self._events = head.events(_joined(first, source), with_usage=with_usage)
        super().__init__(self._events, media_type="text/event-stream")

    @classmethod
    async def begun(cls, head: Head, source: AsyncGenerator[Piece, None], *, with_usage: bool) -> Self:
        """Return it once there is a first piece.

        Raises `Denied`: a model that fails before it says anything is a refusal like any other.
        """
        return cls(head, await anext(source), source, with_usage=with_usage)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._source), aclosing(self._events):
            await super().__call__(scope, receive, send)


async def _joined(first: Piece, rest: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
    yield first
    async for piece in rest:
        yield piece
