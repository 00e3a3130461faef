"""The way out: a token goes to its audience, with its own call, and nowhere else."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from types import ModuleType
from typing import Any

import httpx
import httpx2
import orjson
import pytest

from tests.support.ca import the_ca
from tests.support.calling import DOCUMENTS, SPAN, clients, token
from tests.support.outside import snapshot_of
from tests.support.system import fresh_revocations, registry
from zerotrust.decision import Denied, Reason
from zerotrust.hardening.pools import Connections, MCPConnections
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.limits.answers import FEW_PIECES, MAX_ANSWER, MAX_ELEMENTS, REPORTING_MARGIN, SMALL_PIECE
from zerotrust.limits.strict_json import MAX_DEPTH
from zerotrust.registry.snapshot import Directory
from zerotrust.transport import egress
from zerotrust.transport.egress import EgressClients, calling_with


class Out:
    """Both clients, and what they sent."""

    def __init__(self) -> None:
        self.sent: list[httpx.Request | httpx2.Request] = []
        self.status, self.location = 200, ""

        def answer(library: ModuleType, request: Any) -> Any:
            self.sent.append(request)
            headers = {"location": self.location}
            return library.Response(self.status, headers=headers, text=request.headers["authorization"])

        self.revocations = fresh_revocations()
        self.egress = clients(answer, self.revocations)

    async def post(self, kind: str, url: str) -> str:
        client = self.egress.http if kind == "httpx" else self.egress.mcp_http
        return (await client.post(url, content=b"x")).text

    async def refusal(self, kind: str, url: str) -> str:
        """The reason why nothing is sent to that address with a token for the documents tool."""
        with calling_with(token()):
            if kind == "httpx2":  # the MCP client would not survive an exception
                return str(orjson.loads(await self.post(kind, url))["error"]["data"]["reason"])
            with pytest.raises(Denied) as refused:
                await self.post(kind, url)
            return refused.value.reason


@pytest.fixture
async def out() -> Out:
    return Out()


KINDS = pytest.mark.parametrize("kind", ["httpx", "httpx2"])


@KINDS
@pytest.mark.parametrize("path", ["/", "/mcp", "/mcp?x=1", "/a/b"])
async def test_a_token_goes_to_its_audience_with_the_trace(out: Out, kind: str, path: str) -> None:
    with calling_with(token()):
        assert await out.post(kind, f"http://127.0.0.1:8104{path}") == "Bearer T2"

    assert out.sent[0].headers["traceparent"] == f"00-{SPAN.trace_id}-{SPAN.span_id}-01"


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
    assert await out.refusal(kind, url) == Reason.WOULD_WIDEN
    assert out.sent == []


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
async def test_no_proxy_of_the_environment_sees_a_token(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://attacker.test:3128")
    out = Out()

    with calling_with(token()):
        assert await out.post(kind, "http://127.0.0.1:8104/") == "Bearer T2"

    assert not out.egress.http._mounts
    assert not out.egress.mcp_http._mounts
    assert not out.egress.without_token._mounts


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
    body = Endless(part, pause)
    egress = clients(lambda library, _request: library.Response(200, stream=body))
    ending = ExchangedToken(DOCUMENTS, "id", time.time() + REPORTING_MARGIN + 0.3, "T2")

    async with asyncio.timeout(30):
        with calling_with(ending):
            if kind == "httpx":
                with pytest.raises(httpx.TransportError):
                    await egress.http.post("http://127.0.0.1:8104/")
            else:
                assert (await egress.mcp_http.post("http://127.0.0.1:8104/")).status_code == 503
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
        pytest.param(JSON, lambda: json_of(MAX_ELEMENTS), True, id="elements"),
        pytest.param(JSON, lambda: json_of(MAX_ELEMENTS + 1), False, id="too many"),
        pytest.param(JSON, lambda: b"[" * MAX_DEPTH, True, id="nesting"),
        pytest.param(JSON, lambda: b"[" * (MAX_DEPTH + 1), False, id="too deep"),
        pytest.param(JSON, lambda: '{"\u0122": 1}'.encode("utf-16-le"), False, id="UTF-16: a quote may be 22 01"),
        pytest.param(JSON, lambda: b'{"\xc4\xa2": 1}', True, id="UTF-8"),
        pytest.param(EVENTS, lambda: b"data: {}\n\n", False, id="events"),
        pytest.param({}, lambda: b"", True, id="nothing"),
        pytest.param({}, lambda: in_pieces(FEW_PIECES, 1), True, id="tiny pieces"),
        pytest.param({}, lambda: in_pieces(FEW_PIECES + 1, 1), False, id="too many tiny pieces"),
        pytest.param({}, lambda: in_pieces(4 * FEW_PIECES, SMALL_PIECE), True, id="many pieces"),
        pytest.param({}, lambda: in_pieces(4 * FEW_PIECES, SMALL_PIECE // 2), False, id="many small pieces"),
    ],
)
async def test_what_an_answer_costs_to_read_is_bounded(
    kind: str, headers: dict[str, str], content: Callable[[], Any], *, taken: bool
) -> None:
    """An SDK gets nothing else."""
    egress = clients(lambda library, _request: library.Response(200, headers=headers, content=content()))
    with calling_with(token()):
        try:
            client = egress.http if kind == "httpx" else egress.mcp_http
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
        pytest.param(b"x", {}, 0.05, httpx.ReadTimeout, id="a drip"),
        pytest.param(b"x" * 65536, {}, 120, httpx.RemoteProtocolError, id="a flood"),
        pytest.param(b"x", {"content-encoding": "gzip"}, 120, httpx.RemoteProtocolError, id="compressed"),
        pytest.param(b"x", EVENTS, 120, httpx.RemoteProtocolError, id="events"),
    ],
)
async def test_a_server_outside_is_bounded_as_a_party_is(
    monkeypatch: pytest.MonkeyPatch, part: bytes, headers: dict[str, str], longest: float, error: type[Exception]
) -> None:
    monkeypatch.setattr(egress, "_LONGEST", longest)
    body = Endless(part, pause=0.01)
    outside = clients(lambda library, _request: library.Response(200, headers=headers, stream=body)).without_token
    async with asyncio.timeout(30):
        with pytest.raises(error):
            await outside.get("http://127.0.0.1:8104/")
    assert body.sent <= MAX_ANSWER + len(part)
    assert body.closed


async def test_all_clients_are_closed(out: Out) -> None:
    await out.egress.close()

    assert out.egress.http.is_closed
    assert out.egress.mcp_http.is_closed
    assert out.egress.without_token.is_closed
    assert out.egress.authorities.is_closed
    assert out.egress.authorities._transport is out.egress.http._transport  # unless it gets another


async def test_another_version_of_the_registry_says_whom_there_is_to_be_called(out: Out) -> None:
    nobody, reader = Directory({}, {}), the_ca().svid("agent/reader")
    transport, mcp_transport = Connections(nobody, reader), MCPConnections(nobody, reader)
    other = Connections(nobody, reader)
    egress = EgressClients(
        {}, revocations=out.revocations, transport=transport, mcp_transport=mcp_transport, to_authorities=other
    )
    snapshot = snapshot_of(registry(), "0" * 64, "https://llama.example").model_copy(
        update={"addresses": {"agent/reader": "https://127.0.0.1:8102", "authority/audit": "https://127.0.0.1:8113"}}
    )
    egress.use(snapshot, "inference")
    await egress.close()

    assert transport._directory == mcp_transport._directory == snapshot.directory("inference") != nobody
    assert (other._directory, egress.authorities._transport) == (snapshot.authorities(), other) != (nobody, other)
    assert transport._directory.outside == {"https://llama.example": "0" * 64}
    assert snapshot.directory("agent/reader").outside == snapshot.directory().outside == {}
