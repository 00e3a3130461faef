"""An answer that is passed on as it comes: a stream of events (WHATWG HTML section 9.2), bounded like whole answers.

What reads it gets whole events only, none of which is larger, or has more elements, than its parser should meet.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import httpx

from zerotrust.limits.answers import MAX_ANSWER, MAX_ELEMENTS
from zerotrust.limits.strict_json import check_size

MAX_STREAM = 4 * MAX_ANSWER
"""Bytes of a stream: a model's server sends some 400 for each token."""
MAX_EVENT = 64 * 1024
"""Bytes of one event: a whole tool call with a document fits."""
MAX_EVENTS = 8_192
"""Events of a stream.  Each costs its reader some 300 microseconds, however small it is."""
MAX_PARTS = 4 * MAX_EVENTS
"""Reads that a stream may come in.  Each costs some 20 microseconds, even if it has one byte."""

_END = re.compile(rb"\r?\n\r?\n")
_LONE = re.compile(rb"\r(?!\n)")
_TOGETHER = 16
"""Events that are passed on before others get their turn: a few milliseconds of their reader's work."""
_OVERLAP = 3
"""Bytes of an event's end that may have come with the part before."""


class BoundedStream(httpx.AsyncByteStream):
    """The body of an answer.  It fails as a broken connection would, so its readers need not know of the bounds."""

    def __init__(self, answer: httpx.Response, *, waiting: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        """`waiting`: around each wait for a part; raises `TimeoutError`, or `Denied` if the party may not go on.

        Takes over the answer's stream.
        """
        assert isinstance(answer.stream, httpx.AsyncByteStream)  # noqa: S101 - of an asynchronous client
        self._body, self._waiting, self._request = answer.stream, waiting, answer.request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield whole events, or another body at its end.  Raises `ReadTimeout`, `RemoteProtocolError`, `Denied`."""
        held, length, parts, events, body = bytearray(), 0, 0, 0, aiter(self._body)
        while (part := await self._next(body)) is not None:
            searched = max(0, len(held) - _OVERLAP)
            held += part
            length, parts = length + len(part), parts + 1
            while found := _END.search(held, searched):
                events, searched = events + 1, 0
                yield self._event(held[: found.end()])
                del held[: found.end()]
                if events % _TOGETHER == 0:  # what has come already is read without a pause
                    await asyncio.sleep(0)
            fits = length <= MAX_STREAM and parts <= MAX_PARTS and events <= MAX_EVENTS and len(held) <= MAX_EVENT
            if not fits:  # control: stream-bounded
                raise httpx.RemoteProtocolError("the stream is too large", request=self._request)
        if held:
            yield self._event(held)

    async def _next(self, body: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with self._waiting():
                return await anext(body, None)
        except TimeoutError as error:
            raise httpx.ReadTimeout("no whole answer in time", request=self._request) from error

    def _event(self, event: bytearray) -> bytes:
        try:
            if _LONE.search(event):  # control: stream-line-ends
                raise ValueError("a carriage return ends a line as well, and two an event, which would not be counted")
            check_size(bytes(event), MAX_ELEMENTS)  # control: stream-event-elements
        except ValueError as error:
            raise httpx.RemoteProtocolError(str(error), request=self._request) from error
        return bytes(event)

    async def aclose(self) -> None:
        await self._body.aclose()
