"""Bounds every answer of another party or of the issuer, in bytes and in seconds.

The timeouts of an HTTP client restart with every byte, so they do not stop a peer that sends one now and then.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

import httpx

MAX_ANSWER = 1 << 20
"""Bytes of an answer, with room for the longest document, which MCP sends twice."""
SECONDS = 10
"""Seconds that one answer may take, from the request to its last byte."""
REPORTING_MARGIN = 1
"""Seconds before the end of a caller's token at which calls to others end, so that the caller still gets an answer."""
MAX_ELEMENTS = 2_000
"""Elements of an answer's JSON (`strict_json.py`).  An SDK takes up to 10 microseconds for each, and more if there are
more.  Answers here have a few hundred."""
FEW_PIECES, SMALL_PIECE = 64, 256
"""Pieces (reads, or chunks of RFC 9112 section 7.1) that an answer may come in: `FEW_PIECES`, and one for every so many
bytes.  Each costs some 20 microseconds, however small it is."""
PLAIN = {"accept-encoding": "identity"}
"""Headers that ask for no compression: a compressed answer may expand a thousandfold."""


class _Answer(Protocol):
    @property
    def headers(self) -> Mapping[str, str]: ...
    def aiter_bytes(self) -> AsyncIterator[bytes]: ...


async def read(answer: _Answer, most: int = MAX_ANSWER) -> bytes:
    """Return the body.

    Raises `ValueError` if it has more than `most` bytes, or many pieces for its bytes.  Also raises it for a compressed
    body or a stream of events (WHATWG HTML section 9.2), which were not asked for.
    """
    if "content-encoding" in answer.headers:  # control: answer-uncompressed
        raise ValueError("the answer is compressed")
    if answer.headers.get("content-type", "").lower().startswith("text/event-stream"):  # control: answer-no-stream
        raise ValueError("the answer is a stream of events")
    body, pieces = bytearray(), 0
    async for part in answer.aiter_bytes():
        body += part
        pieces += 1
        if len(body) > most:  # control: answer-size
            raise ValueError("the answer is too large")
        if pieces > FEW_PIECES + len(body) // SMALL_PIECE:  # control: answer-pieces
            raise ValueError("the answer comes in too many pieces")
    return bytes(body)


async def ask(
    http: httpx.AsyncClient, method: str, url: str, *, most: int, headers: Mapping[str, str] = PLAIN, **options: Any
) -> tuple[int, bytes]:
    """Send a request, follow no redirect, and return status and body of the answer.

    Raises `httpx.HTTPError`, also if it takes too long, and `ValueError` if it is too large.
    """
    headers = {**headers, **PLAIN}
    try:
        # control: issuer-not-redirected
        async with (
            asyncio.timeout(SECONDS),
            http.stream(method, url, headers=headers, follow_redirects=False, **options) as answer,
        ):
            return answer.status_code, await read(answer, most)
    except TimeoutError as error:
        raise httpx.ReadTimeout(f"no whole answer within {SECONDS} s") from error
