"""Bounds every answer of another party or of the issuer, in bytes and in seconds.

The timeouts of an HTTP client restart with every byte, so they do not stop a peer that sends one now and then.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

import httpx

MAX_ANSWER = 1 << 20
SECONDS = 10
"""Seconds that one answer may take, from the request to its last byte."""
REPORTING_MARGIN = 1
"""Seconds before the end of a caller's token at which calls to others end, so that the caller still gets an answer."""
PLAIN = {"accept-encoding": "identity"}
"""Headers that ask for no compression: a compressed answer may expand a thousandfold."""


class _Answer(Protocol):
    @property
    def headers(self) -> Mapping[str, str]: ...
    def aiter_bytes(self) -> AsyncIterator[bytes]: ...


async def read(answer: _Answer, most: int = MAX_ANSWER) -> bytes:
    """Return the body.  Raises `ValueError` if it has more than `most` bytes, or is compressed unasked."""
    if "content-encoding" in answer.headers:
        raise ValueError("the answer is compressed")
    body = b""
    async for part in answer.aiter_bytes():
        body += part
        if len(body) > most:  # control: answer-size
            raise ValueError("the answer is too large")
    return body


async def ask(http: httpx.AsyncClient, method: str, url: str, *, most: int, **options: Any) -> tuple[int, bytes]:
    """Send a request, follow no redirect, and return status and body of the answer.

    Raises `httpx.HTTPError`, also if it takes too long, and `ValueError` if it is too large.
    """
    try:
        # control: issuer-not-redirected
        async with asyncio.timeout(SECONDS), http.stream(method, url, headers=PLAIN, **options) as answer:
            return answer.status_code, await read(answer, most)
    except TimeoutError as error:
        raise httpx.ReadTimeout(f"no whole answer within {SECONDS} s") from error
