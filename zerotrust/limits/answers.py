"""An answer has an end, in bytes and in seconds, whoever gives it.

The timeouts of an HTTP client start anew with every byte: who sends one now and then is never too late for them.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

import httpx

MAX_ANSWER = 1 << 20
SECONDS = 10
"""How long one answer may take, from asking to its last byte."""
REPORTING_MARGIN = 1
"""Seconds before the end of a caller's token at which nobody else is waited for: it has to hear what was done."""
PLAIN = {"accept-encoding": "identity"}
"""What to ask for: a packed answer may be a thousand times its size."""


class _Answer(Protocol):
    @property
    def headers(self) -> Mapping[str, str]: ...
    def aiter_bytes(self) -> AsyncIterator[bytes]: ...


async def read(answer: _Answer, most: int = MAX_ANSWER) -> bytes:
    """The body.  Raises `ValueError` when it has more than `most` bytes, or comes packed although nobody asked."""
    if "content-encoding" in answer.headers:
        raise ValueError("the answer is packed")
    body = b""
    async for part in answer.aiter_bytes():
        body += part
        if len(body) > most:
            raise ValueError("the answer is too large")
    return body


async def ask(http: httpx.AsyncClient, method: str, url: str, *, most: int, **options: Any) -> tuple[int, bytes]:
    """Send a request, follow nothing, and return status and body of the answer.

    Raises `httpx.HTTPError`, also when it takes too long, and `ValueError` when it is too large.
    """
    try:
        async with asyncio.timeout(SECONDS), http.stream(method, url, headers=PLAIN, **options) as answer:
            return answer.status_code, await read(answer, most)
    except TimeoutError as error:
        raise httpx.ReadTimeout(f"no whole answer within {SECONDS} s") from error
