"""The real Llama Stack (OGX) server behind inference, over real TLS, with a stand-in for the model behind it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.issuer import Issuer
from tests.support.model_server import KEY, OGX, ModelServer, events_of, needs_ogx, running_ogx
from tests.support.system import System, registry, running, svid_of
from zerotrust.hardening.pools import Connections
from zerotrust.registry.snapshot import OutsideServer

needs_ogx()

from llama_stack_client import APIStatusError, AsyncLlamaStackClient  # noqa: E402 - there is none in older Pythons

HELLO: dict[str, Any] = {"model": "provider/obedient", "messages": [{"role": "user", "content": "Hello"}]}
SEARCH: dict[str, Any] = {"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}}
CHAT, MODELS = "inference.run llama.chat", "model.read llama.models"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """One for all tests of this module."""
    with running_ogx(tmp_path_factory.mktemp("ogx"), Issuer(registry())) as server:
        yield server


@pytest.fixture
async def system(tmp_path: Path, server: ModelServer) -> AsyncIterator[System]:
    """All services; inference reaches that server, by its pin."""
    server.model.asked.clear()
    async with _with(tmp_path, server, server.pin) as system:
        yield system


@asynccontextmanager
async def _with(folder: Path, server: ModelServer, pin: str) -> AsyncIterator[System]:
    outside = {"llamastack": OutsideServer(origin=server.origin, spki_sha256=pin)}
    async with running(folder, issuer=server.issuer, outside=outside) as system:
        way = system.reaching[server.origin] = Connections(system.snapshot.directory("inference"), svid_of("inference"))
        yield system
        await way.aclose()


def token(server: ModelServer, scope: str, *chain: str) -> str:
    issuer = server.issuer
    return issuer.delegated(*(chain or ("orchestrator",)), aud=issuer.registry.id("inference"), scope=scope)


async def test_models_chat_and_streams_come_through(system: System, server: ModelServer) -> None:
    listed = await system.client("inference", token(server, MODELS)).get("/v1/models")
    client = system.client("inference", token(server, CHAT, "orchestrator", "agent/reader"))
    answer = await client.post("/v1/chat/completions", json=HELLO | {"tools": [SEARCH], "model": "default"})
    options = {"stream": True, "stream_options": {"include_usage": True}}
    streamed = await client.post("/v1/chat/completions", json=HELLO | {"tools": [SEARCH]} | options)

    names = [model["id"] for model in listed.json()["data"]]
    assert {"provider/obedient", "provider/sensible"} <= set(names)
    assert answer.json()["model"] == names[0]
    assert answer.status_code == streamed.status_code == 200
    told = events_of(streamed.text)
    calls = [call for event in told for choice in event["choices"] for call in choice["delta"].get("tool_calls", [])]
    assert [call["function"]["name"] for call in calls] == ["search"]
    assert told[-1]["usage"]["total_tokens"] > 0
    keys = {headers["authorization"] for headers, _ in server.model.asked}
    assert keys == {f"Bearer {KEY}"}  # the model sees the server's key, and no token


async def test_an_error_of_the_model_is_said_in_our_words(system: System, server: ModelServer) -> None:
    client = system.client("inference", token(server, CHAT))

    long = await client.post("/v1/chat/completions", json=HELLO | {"model": "provider/failing"})
    none = await client.post("/v1/chat/completions", json=HELLO | {"model": "none/x"})

    assert (long.status_code, long.json()["reason"]) == (400, "context_length_exceeded")
    assert (none.status_code, none.json()["reason"]) == (404, "unknown_model")
    assert "tokens" not in long.text
    assert len(server.model.asked) == 1


def straight(server: ModelServer) -> httpx.AsyncClient:
    """Straight to the server, past our door, as whoever has found a token would."""
    tls = ssl.create_default_context(cafile=server.certificate)
    return httpx.AsyncClient(base_url=server.origin, verify=tls, timeout=30)


TRIES: list[tuple[str, Callable[[Issuer], str | None], tuple[int, int]]] = [
    (
        "a token for chat",
        lambda i: i.delegated("orchestrator", "inference", aud="llamastack", scope="llama.chat"),
        (200, 403),
    ),
    ("a token for models", lambda i: i.delegated("inference", aud="llamastack", scope="llama.models"), (403, 200)),
    ("a token for tools", lambda i: i.delegated("inference", aud="llamastack", scope="tool.read"), (403, 403)),
    (
        "a token for inference",
        lambda i: i.delegated("orchestrator", aud=i.registry.id("inference"), scope=CHAT),
        (401, 401),
    ),
    ("the user's token", lambda i: i.token(scope="llama.chat llama.models"), (401, 401)),
    ("an expired one", lambda i: i.delegated("inference", aud="llamastack", scope="llama.chat", exp=1), (401, 401)),
    ("of another issuer", lambda i: i.delegated("inference", aud="llamastack", iss="https://x.test"), (401, 401)),
    ("of another key", lambda i: Issuer(i.registry).delegated("inference", aud="llamastack"), (401, 401)),
    ("no token", lambda _: None, (401, 401)),
]


@pytest.mark.parametrize(("made", "wanted"), [try_[1:] for try_ in TRIES], ids=[try_[0] for try_ in TRIES])
async def test_the_server_checks_tokens_itself(
    server: ModelServer, made: Callable[[Issuer], str | None], wanted: tuple[int, int]
) -> None:
    value = made(server.issuer)
    headers = {"authorization": f"Bearer {value}"} if value else {}
    async with straight(server) as client:
        chat = await client.post("/v1/chat/completions", json=HELLO, headers=headers)
        models = await client.get("/v1/models", headers=headers)

    assert (chat.status_code, models.status_code) == wanted


async def test_what_the_server_does_not_check(server: ModelServer) -> None:
    """The page says so: whoever has the token may use it, and who is in its chain does not matter."""
    stolen = server.issuer.delegated("tool/documents", aud="llamastack", scope="llama.chat")
    async with straight(server) as client:
        answer = await client.post("/v1/chat/completions", json=HELLO, headers={"authorization": f"Bearer {stolen}"})

    assert answer.status_code == 200


async def test_its_official_client_works_at_our_door(system: System, server: ModelServer) -> None:
    def client(scope: str) -> AsyncLlamaStackClient:
        value = token(server, scope)
        return AsyncLlamaStackClient(
            base_url=system.addresses["inference"],
            api_key=value,
            max_retries=0,
            http_client=system.client("inference", value),
        )

    listed = await client(MODELS).models.list()
    assert "provider/obedient" in [model.id for model in listed]
    answer = await client(CHAT).chat.completions.create(**HELLO)
    assert answer.choices[0].message.content
    stream = await client(CHAT).chat.completions.create(**HELLO, stream=True)
    said = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
    assert said == answer.choices[0].message.content
    with pytest.raises(APIStatusError) as refused:
        await client(CHAT).models.list()
    assert refused.value.status_code == 403


OGX_CLIENT = """
import sys
from ogx_client import Configuration, OgxClient

origin, ca = sys.argv[1:]
client = OgxClient(Configuration(host=origin, ssl_ca_cert=ca), api_key=sys.stdin.read().strip())
for ask in (
    lambda: "provider/obedient" in [model.id for model in client.models.list().data],
    lambda: bool(client.chat.completions.create(
        model="provider/obedient", messages=[{"role": "user", "content": "Hello"}]
    ).choices[0].message.content),
):
    try:
        print(ask())
    except Exception as error:
        print(type(error).__name__)
"""


@pytest.mark.parametrize(
    ("scope", "said"),
    [("llama.models", ["True", "ForbiddenException"]), ("llama.chat", ["ForbiddenException", "True"])],
)
async def test_the_client_of_its_new_name_works_at_the_server(server: ModelServer, scope: str, said: list[str]) -> None:
    """It is installed beside the server: with the packages of ours it shares none but by chance."""
    value = server.issuer.delegated("inference", aud="llamastack", scope=scope)
    process = await asyncio.create_subprocess_exec(
        OGX.with_name("python"),
        "-W",
        "ignore",
        "-c",
        OGX_CLIENT,
        server.origin,
        server.certificate,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, problems = await process.communicate(value.encode())

    assert out.decode().split() == said, problems.decode()[-2000:]
