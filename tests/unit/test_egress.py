"""The way out: a token goes to its audience, with its own call, and nowhere else."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx
import httpx2
import orjson
import pytest

from tests.support.ca import the_ca
from tests.support.calling import ADDRESSES, DOCUMENTS, READER, SPAN, token
from tests.support.outside import snapshot_of
from tests.support.system import fresh_revocations, registry
from zerotrust import context
from zerotrust.decision import Denied, Reason
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.limits.answers import FEW_PIECES, MAX_ANSWER, MAX_ELEMENTS, REPORTING_MARGIN, SMALL_PIECE
from zerotrust.limits.strict_json import MAX_DEPTH
from zerotrust.registry.directory import Directory
from zerotrust.transport import egress
from zerotrust.transport.egress import EgressClients, calling_with
from zerotrust.transport.pools import Connections, MCPConnections


class Out:
    """Both clients, and what they sent."""

    def __init__(self) -> None:
        self.sent: list[httpx.Request | httpx2.Request] = []
        self.status, self.location = 200, ""

        def answer(request: httpx.Request) -> httpx.Response:
            self.sent.append(request)
            return httpx.Response(
                self.status, headers={"location": self.location}, text=request.headers["authorization"]
            )

        def answer2(request: httpx2.Request) -> httpx2.Response:
            self.sent.append(request)
            return httpx2.Response(
                self.status, headers={"location": self.location}, text=request.headers["authorization"]
            )

        self.revocations = fresh_revocations()
        self.egress = EgressClients(
            ADDRESSES,
            revocations=self.revocations,
            transport=httpx.MockTransport(answer),
            mcp_transport=httpx2.MockTransport(answer2),
        )

    async def post(self, kind: str, url: str) -> str:
        client = self.egress.http if kind == "httpx" else self.egress.mcp_http
        return (await client.post(url, content=b"x")).text


@pytest.fixture
async def out() -> Out:
    context.TRACE.set(SPAN)  # what the gate does for the request being handled
    return Out()


KINDS = pytest.mark.parametrize("kind", ["httpx", "httpx2"])


@KINDS
@pytest.mark.parametrize("path", ["/", "/mcp", "/mcp?x=1", "/a/b"])
async def test_a_token_goes_to_its_audience_with_the_trace(out: Out, kind: str, path: str) -> None:
    with calling_with(token()):
        assert await out.post(kind, f"http://127.0.0.1:8104{path}") == "Bearer T2"

    assert out.sent[0].headers["traceparent"] == f"00-{SPAN.trace_id}-{SPAN.span_id}-01"
    assert "tracestate" not in out.sent[0].headers
    context.TRACE.set(replace(SPAN, state="vendor=1"))
    with calling_with(token()):
        await out.post(kind, f"http://127.0.0.1:8104{path}")
    assert out.sent[1].headers["tracestate"] == "vendor=1"


@KINDS
@pytest.mark.parametrize(
    "url",
    [
        "https://reader.test:8443/",  # a party we may call, but not the one the token is for
        "http://127.0.0.1:8105/",
        "https://127.0.0.1:8104/",
        "http://127.0.0.1/",
        "http://localhost:8104/",
        "http://127.0.0.1:8104@attacker.test/",
        "http://attacker.test:8104/",
        "http://127.0.0.1.attacker.test:8104/",
    ],
)
async def test_a_token_goes_nowhere_else(out: Out, kind: str, url: str) -> None:
    with calling_with(token()):
        if kind == "httpx":
            with pytest.raises(Denied) as refused:
                await out.post(kind, url)
            assert refused.value.reason is Reason.WOULD_WIDEN
        else:  # the MCP client would not survive an exception
            assert orjson.loads(await out.post(kind, url))["error"]["data"]["reason"] == Reason.WOULD_WIDEN

    assert out.sent == []


@KINDS
@pytest.mark.parametrize("known", [True, False], ids=["revoked", "unknown"])
async def test_who_is_revoked_gets_nothing(out: Out, kind: str, known: bool) -> None:
    if known:
        out.revocations.change(1, ("party", DOCUMENTS), "drift")
    else:
        out.revocations.forget()
    reason = Reason.PEER_REVOKED if known else Reason.REVOCATION_UNKNOWN

    with calling_with(token()):
        if kind == "httpx":
            with pytest.raises(Denied) as refused:
                await out.post(kind, "http://127.0.0.1:8104/")
            assert refused.value.reason is reason
        else:
            assert orjson.loads(await out.post(kind, "http://127.0.0.1:8104/"))["error"]["data"]["reason"] == reason

    assert out.sent == []


@KINDS
async def test_somebody_elses_loss_is_no_matter(out: Out, kind: str) -> None:
    out.revocations.change(1, ("party", READER), "drift")

    with calling_with(token()):
        assert await out.post(kind, "http://127.0.0.1:8104/") == "Bearer T2"


@KINDS
async def test_without_a_token_nothing_is_sent(out: Out, kind: str) -> None:
    with pytest.raises(LookupError):
        await out.post(kind, "http://127.0.0.1:8104/")
    with calling_with(token()):
        pass
    with pytest.raises(LookupError):  # the block is over, and its token with it
        await out.post(kind, "http://127.0.0.1:8104/")
    assert out.sent == []


@KINDS
async def test_an_inner_call_does_not_keep_its_token_from_the_outer_one(out: Out, kind: str) -> None:
    with calling_with(token("outer")):
        with calling_with(token("inner")):
            assert await out.post(kind, "http://127.0.0.1:8104/") == "Bearer inner"
        assert await out.post(kind, "http://127.0.0.1:8104/") == "Bearer outer"


@KINDS
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["http://attacker.test/", "http://127.0.0.1:8104/elsewhere"])
async def test_a_redirect_is_not_followed(out: Out, kind: str, status: int, location: str) -> None:
    out.status, out.location = status, location
    with calling_with(token()):
        await out.post(kind, "http://127.0.0.1:8104/")

    assert len(out.sent) == 1


@KINDS
async def test_tokens_of_concurrent_users_do_not_mix(out: Out, kind: str) -> None:
    everybody_in = asyncio.Barrier(50)

    async def one(user: str) -> str:
        with calling_with(token(user)):
            await everybody_in.wait()
            return await out.post(kind, "http://127.0.0.1:8104/")

    users = [f"user-{number}" for number in range(50)]
    assert await asyncio.gather(*map(one, users)) == [f"Bearer {user}" for user in users]


@KINDS
async def test_no_proxy_of_the_environment_sees_a_token(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://attacker.test:3128")
    context.TRACE.set(SPAN)
    out = Out()

    with calling_with(token()):
        assert await out.post(kind, "http://127.0.0.1:8104/") == "Bearer T2"

    assert not out.egress.http._mounts
    assert not out.egress.mcp_http._mounts
    assert not out.egress.without_token._mounts


class Breaking(httpx2.AsyncByteStream):
    """A body that breaks off."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'{"jsonrpc":'
        raise httpx2.ReadError("cut off")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx2.ConnectError("nobody there"), Reason.PEER_UNAVAILABLE),
        (httpx2.PoolTimeout("too many"), Reason.PEER_UNAVAILABLE),
        (httpx2.ReadTimeout("too slow"), Reason.ANSWER_LOST),
        (httpx2.RemoteProtocolError("cut off"), Reason.ANSWER_LOST),
        (httpx2.Response(200, stream=Breaking()), Reason.ANSWER_LOST),
        (httpx2.Response(200, content=b"x" * (MAX_ANSWER + 1)), Reason.ANSWER_LOST),
        (httpx2.Response(200, headers={"content-encoding": "gzip"}, stream=Breaking()), Reason.ANSWER_LOST),
    ],
)
async def test_a_tool_that_does_not_answer_is_an_answer_and_no_exception(
    answer: httpx2.Response | Exception, reason: Reason
) -> None:
    """The MCP client is shared by all users of a process, and one exception in its transport would end it."""
    context.TRACE.set(SPAN)

    def respond(_request: httpx2.Request) -> httpx2.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    clients = EgressClients(
        ADDRESSES,
        revocations=fresh_revocations(),
        transport=httpx.AsyncHTTPTransport(),
        mcp_transport=httpx2.MockTransport(respond),
    )
    with calling_with(token()):
        async with clients.mcp_http.stream("POST", "http://127.0.0.1:8104/mcp") as reply:  # as the MCP client does
            body = await reply.aread()

    assert reply.status_code == 503
    assert orjson.loads(body)["error"]["data"]["reason"] == reason


class Endless(httpx.AsyncByteStream, httpx2.AsyncByteStream):
    """A body that goes on: a byte now and then, or all at once."""

    def __init__(self, part: bytes, pause: float) -> None:
        self._part, self._pause, self.sent, self.closed = part, pause, 0, False

    async def aclose(self) -> None:
        self.closed = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield self._part
            self.sent += len(self._part)
            await asyncio.sleep(self._pause)


@KINDS
@pytest.mark.parametrize(("part", "pause"), [(b"x", 0.01), (b"x" * 65536, 0)], ids=["a drip", "a flood"])
async def test_an_answer_without_an_end_gets_one(kind: str, part: bytes, pause: float) -> None:
    context.TRACE.set(SPAN)
    body = Endless(part, pause)
    clients = EgressClients(
        ADDRESSES,
        revocations=fresh_revocations(),
        transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=body)),
        mcp_transport=httpx2.MockTransport(lambda _: httpx2.Response(200, stream=body)),
    )
    ending = ExchangedToken(DOCUMENTS, "id", time.time() + REPORTING_MARGIN + 0.3, "T2")

    async with asyncio.timeout(30):
        if kind == "httpx":
            with calling_with(ending), pytest.raises(httpx.TransportError):
                await clients.http.post("http://127.0.0.1:8104/")
        else:
            with calling_with(ending):
                assert (await clients.mcp_http.post("http://127.0.0.1:8104/")).status_code == 503
    assert body.sent <= MAX_ANSWER + len(part)
    assert body.closed  # or the pool would lose a connection each time


async def in_pieces(count: int, size: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * size


def json_of(elements: int) -> bytes:
    return b"[0" + b",0" * (elements - 1) + b"]"


EVENTS = {"content-type": "Text/Event-Stream; charset=utf-8"}
JSON = {"content-type": "application/json"}


@KINDS
@pytest.mark.parametrize(
    ("headers", "content", "taken"),
    [
        (JSON, lambda: json_of(MAX_ELEMENTS), True),
        (JSON, lambda: json_of(MAX_ELEMENTS + 1), False),
        (JSON, lambda: b"[" * MAX_DEPTH, True),
        (JSON, lambda: b"[" * (MAX_DEPTH + 1), False),
        (JSON, lambda: '{"\u0122": 1}'.encode("utf-16-le"), False),  # a quote of another parity: 22 01
        (JSON, lambda: b'{"\xc4\xa2": 1}', True),
        (EVENTS, lambda: b"data: {}\n\n", False),
        ({}, lambda: b"", True),
        ({}, lambda: in_pieces(FEW_PIECES, 1), True),
        ({}, lambda: in_pieces(FEW_PIECES + 1, 1), False),
        ({}, lambda: in_pieces(4 * FEW_PIECES, SMALL_PIECE), True),
        ({}, lambda: in_pieces(4 * FEW_PIECES, SMALL_PIECE // 2), False),
    ],
    ids=[
        "elements", "too many", "nesting", "too deep", "UTF-16", "UTF-8", "events", "nothing",
        "tiny pieces", "too many tiny pieces", "many pieces", "many small pieces",
    ],
)  # fmt: skip
async def test_what_an_answer_costs_to_read_is_bounded(
    kind: str, headers: dict[str, str], content: Callable[[], Any], *, taken: bool
) -> None:
    """An SDK gets nothing else."""
    context.TRACE.set(SPAN)
    clients = EgressClients(
        ADDRESSES,
        revocations=fresh_revocations(),
        transport=httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, content=content())),
        mcp_transport=httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, content=content())),
    )
    with calling_with(token()):
        try:
            client = clients.http if kind == "httpx" else clients.mcp_http
            status = (await client.post("http://127.0.0.1:8104/")).status_code
        except httpx.RemoteProtocolError:
            status = 503

    assert status == (200 if taken else 503)


@pytest.mark.parametrize(("life", "longest"), [(30, 30 - REPORTING_MARGIN), (3600, 120), (float("inf"), 120)])
async def test_a_call_ends_before_its_token_so_that_the_caller_can_still_be_told(
    monkeypatch: pytest.MonkeyPatch, life: float, longest: float
) -> None:
    monkeypatch.setattr("zerotrust.transport.egress.time.time", lambda: 1000.0)
    loop = asyncio.get_running_loop()
    before = loop.time()
    with calling_with(ExchangedToken(DOCUMENTS, "id", 1000 + life, "T2")):
        async with egress._time_left() as patience:
            pass

    assert before + longest <= (patience.when() or 0) <= loop.time() + longest


async def test_a_call_without_a_token_ends_too() -> None:
    loop = asyncio.get_running_loop()
    before = loop.time()
    async with egress._time_left() as patience:
        pass

    assert before + egress._LONGEST <= (patience.when() or 0) <= loop.time() + egress._LONGEST


@pytest.mark.parametrize(
    ("part", "headers", "longest", "error"),
    [
        (b"x", {}, 0.05, httpx.ReadTimeout),
        (b"x" * 65536, {}, 120, httpx.RemoteProtocolError),
        (b"x", {"content-encoding": "gzip"}, 120, httpx.RemoteProtocolError),
        (b"x", EVENTS, 120, httpx.RemoteProtocolError),
    ],
    ids=["a drip", "a flood", "compressed", "events"],
)
async def test_a_server_outside_is_bounded_as_a_party_is(
    monkeypatch: pytest.MonkeyPatch, part: bytes, headers: dict[str, str], longest: float, error: type[Exception]
) -> None:
    monkeypatch.setattr(egress, "_LONGEST", longest)
    body = Endless(part, pause=0.01)
    clients = EgressClients(
        ADDRESSES,
        revocations=fresh_revocations(),
        transport=httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, stream=body)),
        mcp_transport=httpx2.AsyncHTTPTransport(),
    )
    async with asyncio.timeout(30):
        with pytest.raises(error):
            await clients.without_token.get("http://127.0.0.1:8104/")
    assert body.sent <= MAX_ANSWER + len(part)
    assert body.closed


async def test_all_clients_are_closed(out: Out) -> None:
    await out.egress.close()

    assert out.egress.http.is_closed
    assert out.egress.mcp_http.is_closed
    assert out.egress.without_token.is_closed


async def test_another_version_of_the_registry_says_whom_there_is_to_be_called(out: Out) -> None:
    nobody, reader = Directory({}, {}), the_ca().svid("agent/reader")
    transport, mcp_transport = Connections(nobody, reader), MCPConnections(nobody, reader)
    egress = EgressClients({}, revocations=out.revocations, transport=transport, mcp_transport=mcp_transport)
    snapshot = snapshot_of(registry(), "0" * 64, "https://llama.example").model_copy(
        update={"addresses": {"agent/reader": "https://127.0.0.1:8102"}}
    )
    egress.use(snapshot, "inference")
    await egress.close()

    assert transport._directory == mcp_transport._directory == snapshot.directory("inference") != nobody
    assert transport._directory.outside == {"https://llama.example": "0" * 64}
    assert snapshot.directory("agent/reader").outside == snapshot.directory().outside == {}
