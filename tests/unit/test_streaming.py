"""A stream is passed on as it comes, and is bounded all the same."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import nullcontext

import httpx
import httpx2
import pytest

from tests.support.system import fresh_revocations
from zerotrust import context
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.limits.answers import MAX_ANSWER, MAX_ELEMENTS, REPORTING_MARGIN
from zerotrust.transport import streaming
from zerotrust.transport.egress import EgressClients, calling_with

AUDIENCE, ORIGIN = "spiffe://agents.example/inference", "https://inference.test"
EVENT = b"data: {}\n\n"


class Body(httpx.AsyncByteStream):
    """A body that comes in these parts; it says whether it was closed."""

    def __init__(self, parts: Iterable[bytes], *, stalls: bool = False) -> None:
        self.parts, self.stalls, self.closed, self.given = parts, stalls, False, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            self.given += 1
            yield part
        if self.stalls:
            await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.closed = True


async def read(body: Body, *, seconds: float = 60, kind: str = "text/event-stream", encoding: str = "") -> list[bytes]:
    """What a reader of the stream gets."""
    context.TRACE.set(context.Span())

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer T"
        return httpx.Response(
            200, headers={"content-type": kind} | ({"content-encoding": encoding} if encoding else {}), stream=body
        )

    clients = EgressClients(
        {AUDIENCE: ORIGIN},
        revocations=fresh_revocations(),
        transport=httpx.MockTransport(answer),
        mcp_transport=httpx2.MockTransport(lambda _: httpx2.Response(500)),
    )
    with calling_with(ExchangedToken(AUDIENCE, "id", time.time() + seconds, "T")):
        async with clients.streaming.stream("POST", ORIGIN) as streamed:
            return [part async for part in streamed.aiter_raw()]


async def test_whole_events_are_passed_on_however_they_were_cut() -> None:
    text = b'data: {"a": 1}\r\n\r\ndata: 2\n\ndata: [DONE]'

    for size in (1, 2, 3, 5, 7, len(text)):
        body = Body([text[at : at + size] for at in range(0, len(text), size)])
        assert await read(body) == [b'data: {"a": 1}\r\n\r\n', b"data: 2\n\n", b"data: [DONE]"]
        assert body.closed


@pytest.mark.parametrize("text", [b"data: 1\r\rdata: 2\r\r", b"data: 1\n\rdata: 2\n\n", b"data: 1\r\ndata: 2\r"])
async def test_what_ends_a_line_in_another_way_is_refused(text: bytes) -> None:
    """Its reader would find more events than were counted (WHATWG HTML section 9.2)."""
    for size in (1, len(text)):
        with pytest.raises(httpx.RemoteProtocolError, match="carriage return"):
            await read(Body([text[at : at + size] for at in range(0, len(text), size)]))


async def test_a_long_stream_lets_others_work_meanwhile() -> None:
    turns, ended = 0, False

    async def others() -> None:
        nonlocal turns
        while not ended:
            turns += 1
            await asyncio.sleep(0)

    working = asyncio.create_task(others())
    await asyncio.sleep(0)
    before = turns
    passed_on = await read(Body([EVENT * 1_000]))
    ended = True
    await working

    assert len(passed_on) == 1_000
    assert turns - before > 1_000 // 20


async def test_an_event_is_passed_on_before_the_next_one_comes() -> None:
    context.TRACE.set(context.Span())
    body = Body([EVENT], stalls=True)
    stream = streaming.BoundedStream(
        httpx.Response(200, stream=body, request=httpx.Request("GET", ORIGIN)),
        waiting=nullcontext,
    )

    assert await anext(aiter(stream)) == EVENT


@pytest.mark.parametrize(
    ("parts", "most"),
    [
        ((EVENT for _ in range(1_000_000)), streaming.MAX_EVENTS),
        ((b"data: " + b"x" * 8_000 + b"\n\n" for _ in range(1_000_000)), streaming.MAX_STREAM // 8_000),
        ((b"x\n"[at % 2 : at % 2 + 1] for at in range(1_000_000)), streaming.MAX_PARTS),
    ],
)
async def test_a_stream_without_an_end_gets_one(parts: Iterable[bytes], most: int) -> None:
    body = Body(parts)

    with pytest.raises(httpx.RemoteProtocolError, match="too large"):
        await read(body)
    assert body.given <= most + 1
    assert body.closed


async def test_an_event_without_an_end_gets_one() -> None:
    body = Body(b"x" * 8_000 for _ in range(1_000))

    with pytest.raises(httpx.RemoteProtocolError, match="too large"):
        await read(body)
    assert body.given <= streaming.MAX_EVENT // 8_000 + 1


@pytest.mark.parametrize(
    "event", [b"data: [0" + b",0" * MAX_ELEMENTS + b"]\n\n", b"data: " + b"[" * 100 + b"]" * 100 + b"\n\n"]
)
async def test_an_event_that_a_parser_should_not_meet_is_not_passed_on(event: bytes) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await read(Body([event]))


async def test_a_stream_ends_before_its_token() -> None:
    with pytest.raises(httpx.ReadTimeout):
        await read(Body([EVENT], stalls=True), seconds=REPORTING_MARGIN + 0.2)


async def test_a_compressed_stream_is_refused() -> None:
    body = Body([EVENT])

    with pytest.raises(httpx.RemoteProtocolError, match="compressed"):
        await read(body, encoding="gzip")
    assert body.closed


async def test_what_is_no_stream_is_bounded_as_one() -> None:
    assert await read(Body([b"{", b"}"]), kind="application/json") == [b"{}"]
    with pytest.raises(httpx.RemoteProtocolError):
        await read(Body([b"x" * MAX_ANSWER]), kind="application/json")


async def test_what_is_not_asked_for_as_a_stream_is_read_to_its_end() -> None:
    context.TRACE.set(context.Span())
    clients = EgressClients(
        {AUDIENCE: ORIGIN},
        revocations=fresh_revocations(),
        transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=Body([b"x" * MAX_ANSWER, b"x"]))),
        mcp_transport=httpx2.MockTransport(lambda _: httpx2.Response(500)),
    )
    with (
        calling_with(ExchangedToken(AUDIENCE, "id", time.time() + 60, "T")),
        pytest.raises(httpx.RemoteProtocolError, match="too large"),
    ):
        await clients.streaming.get(ORIGIN)
