"""A model server behind inference: what it is asked and with which token, and what becomes of whatever it answers.

The server is played by the test here; `test_model_server.py` has the real one.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from inference import budget
from inference.main import MAX_SHOWN
from tests.support.issuer import Issuer
from tests.support.model_server import needs_client
from tests.support.system import CHAIN, System, running
from tests.support.waiting import until
from zerotrust.hardening.pools import MAX_CONNECTIONS
from zerotrust.limits.answers import MAX_ELEMENTS
from zerotrust.limits.strict_json import check_size
from zerotrust.registry.snapshot import OutsideServer

needs_client()

from inference.backends import checked  # noqa: E402 - there is no client in older Pythons

ORIGIN, PIN = "https://127.0.0.1:8321", "0" * 64
HELLO: dict[str, Any] = {"model": "provider/m", "messages": [{"role": "user", "content": "Hello"}]}
SEARCH: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Finds documents.",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
    },
}
CALLED = {"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"query": "x"}'}}
SECRET = "what only the server knows"
USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


def whole(finish: str = "stop", **message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"} | message, "finish_reason": finish}
    return {
        "id": SECRET,
        "object": "chat.completion",
        "created": 1,
        "model": SECRET,
        "choices": [choice],
        "usage": USAGE,
    }


class Server(httpx.AsyncBaseTransport):
    """Answers as the test says, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.answer: Callable[[], httpx.Response] = lambda: httpx.Response(200, json=whole())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        await self.goes_on.wait()
        return self.answer()

    def answers(self, content: Any, status: int = 200) -> None:
        self.answer = lambda: httpx.Response(status, json=content)

    def fails(self, error: Exception) -> None:
        def failing() -> httpx.Response:
            raise error

        self.answer = failing

    @property
    def claims(self) -> dict[str, Any]:
        """The claims of the token that came last."""
        token = self.asked[-1].headers["authorization"].removeprefix("Bearer ")
        return dict(jwt.decode(token, options={"verify_signature": False}))

    @property
    def body(self) -> dict[str, Any]:
        """What was asked last."""
        return dict(json.loads(self.asked[-1].content))


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def system(tmp_path: Path, issuer: Issuer, server: Server) -> AsyncIterator[System]:
    """Inference, with that server behind it."""
    outside = {"llamastack": OutsideServer(origin=ORIGIN, spki_sha256=PIN)}
    async with running(tmp_path, "inference", issuer=issuer, outside=outside) as system:
        system.reaching[ORIGIN] = server
        yield system


@pytest.fixture
def thinking(system: System, issuer: Issuer) -> httpx.AsyncClient:
    """The reader, with its token for the model."""
    scope = "inference.run llama.chat"
    return system.client(
        "inference", issuer.delegated("orchestrator", "agent/reader", aud=issuer.registry.id("inference"), scope=scope)
    )


@pytest.fixture
def listing(system: System, issuer: Issuer) -> httpx.AsyncClient:
    """The orchestrator, with its token for the models."""
    scope = "model.read llama.models"
    return system.client(
        "inference", issuer.delegated("orchestrator", aud=issuer.registry.id("inference"), scope=scope)
    )


async def ask(client: httpx.AsyncClient, **changed: Any) -> httpx.Response:
    return await client.post("/v1/chat/completions", json=HELLO | changed)


async def test_it_is_asked_with_a_token_of_its_own_that_opens_one_of_its_apis(
    thinking: httpx.AsyncClient, listing: httpx.AsyncClient, server: Server, issuer: Issuer
) -> None:
    sent = (await ask(thinking)).request.headers["authorization"]

    claims = server.claims
    assert (claims["aud"], claims["scope"]) == ("llamastack", "llama.chat")
    assert claims["exp"] - claims["iat"] <= 30
    actors = [claims[CHAIN]["sub"], claims[CHAIN]["act"]["sub"]]
    assert actors == [issuer.registry.id("inference"), issuer.registry.id("agent/reader")]
    assert sent not in str(server.asked[-1].headers)
    server.answers({"data": []})
    await listing.get("/v1/models")
    assert server.claims["scope"] == "llama.models"


async def test_what_was_asked_is_passed_on_and_what_was_answered_is_built_anew(
    thinking: httpx.AsyncClient, server: Server
) -> None:
    messages = [
        *HELLO["messages"],
        {"role": "assistant", "content": None, "tool_calls": [CALLED]},
        {"role": "tool", "tool_call_id": "c1", "content": "nothing"},
    ]
    answer = await ask(thinking, messages=messages, tools=[SEARCH], temperature=0.5, user="u", logit_bias={"1": 2})

    assert server.body["messages"] == [messages[0], {"role": "assistant", "tool_calls": [CALLED]}, messages[2]]
    assert (server.body["tools"], server.body["temperature"], server.body["model"]) == ([SEARCH], 0.5, "provider/m")
    assert not {"user", "logit_bias"} & server.body.keys()
    assert SECRET not in answer.text
    told = answer.json()
    assert (told["model"], told["usage"], told["choices"][0]["message"]["content"]) == ("provider/m", USAGE, "Hi")


REQUEST = httpx.Request("POST", ORIGIN)
FAILURES: list[tuple[Any, int, str]] = [
    (
        httpx.Response(400, json={"error": {"message": f"maximum context length {SECRET}"}}),
        400,
        "context_length_exceeded",
    ),
    (httpx.Response(400, json={"error": {"message": SECRET}}), 502, "model_refused"),
    (httpx.Response(401, json={"error": {"message": SECRET}}), 502, "model_refused"),
    (httpx.Response(403, text=SECRET), 502, "model_refused"),
    (httpx.Response(404, json={"error": {"message": SECRET}}), 404, "unknown_model"),
    (httpx.Response(429, text=SECRET), 503, "model_busy"),
    (httpx.Response(500, json={"error": {"message": SECRET}}), 502, "model_failed"),
    (httpx.Response(503, text=SECRET), 503, "model_busy"),
    (httpx.Response(302, headers={"location": "https://elsewhere.test"}), 502, "model_refused"),
    (httpx.Response(200, text=SECRET), 502, "model_answer_invalid"),
    (httpx.Response(200, json=[SECRET]), 502, "model_answer_invalid"),
    (httpx.Response(200, json={"choices": []}), 502, "model_answer_invalid"),
    (httpx.Response(200, content=b"x" * (1 << 20) + b"x"), 502, "model_answer_invalid"),
    (httpx.Response(200, json=whole(content="x" * 300_000)), 502, "model_answer_too_long"),
    (httpx.ConnectError(SECRET, request=REQUEST), 503, "model_unreachable"),
    (httpx.PoolTimeout(SECRET, request=REQUEST), 503, "model_unreachable"),
    (httpx.ReadError(SECRET, request=REQUEST), 503, "model_unreachable"),
    (httpx.ReadTimeout(SECRET, request=REQUEST), 504, "model_timed_out"),
    (TimeoutError(SECRET), 504, "model_timed_out"),
    (httpx.RemoteProtocolError(SECRET, request=REQUEST), 502, "model_answer_invalid"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("failure", "status", "reason"), FAILURES)
async def test_whatever_goes_wrong_is_said_in_our_words_and_tried_once(
    thinking: httpx.AsyncClient, server: Server, failure: Any, status: int, reason: str, *, stream: bool
) -> None:
    if isinstance(failure, httpx.Response):
        failure.read()
        server.answer = lambda: httpx.Response(failure.status_code, headers=failure.headers, content=failure.content)
    else:
        server.fails(failure)
    answer = await ask(thinking, stream=stream)

    code = "model_not_found" if reason == "unknown_model" else reason
    assert (answer.status_code, answer.json()["reason"], answer.json()["error"]["code"]) == (status, reason, code)
    assert SECRET not in answer.text
    assert len(server.asked) == 1


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "text/plain; charset=zlib"])
@pytest.mark.parametrize(
    "body", [b"hello", b"[1]", b'"a"', b"null", b'{"data": "abc"}', b'{"data": [1, null]}', b"\xff"]
)
async def test_nonsense_is_no_error_of_ours(
    thinking: httpx.AsyncClient, listing: httpx.AsyncClient, server: Server, body: bytes, kind: str
) -> None:
    for status, reason in ((200, "model_answer_invalid"), (500, "model_")):
        server.answer = lambda s=status: httpx.Response(s, headers={"content-type": kind}, content=body)  # type: ignore[misc]
        for answer in (await ask(thinking), await listing.get("/v1/models")):
            assert (answer.status_code, answer.json()["reason"].startswith(reason)) == (502, True)


async def test_one_caller_leaves_room_for_others(
    system: System, thinking: httpx.AsyncClient, server: Server, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 5 * budget.OF_A_CALLER <= MAX_CONNECTIONS
    monkeypatch.setattr(budget, "OF_A_CALLER", 2)
    monkeypatch.setattr(budget, "OF_A_USER", 2)
    scope, inference = "inference.run llama.chat", issuer.registry.id("inference")
    writer = system.client("inference", issuer.delegated("orchestrator", "agent/writer", aud=inference, scope=scope))
    server.goes_on.clear()
    held = [asyncio.create_task(ask(thinking, stream=number == 1)) for number in range(2)]
    await until(lambda: len(server.asked) >= 2)

    for stream in (False, True):
        refused = await asyncio.wait_for(ask(thinking, stream=stream), 60)  # one that is not refused waits
        assert (refused.status_code, refused.json()["reason"]) == (503, "model_busy")
    other = asyncio.create_task(ask(writer))
    await until(lambda: len(server.asked) >= 3)
    server.goes_on.set()
    assert (await other).status_code == 200
    await asyncio.gather(*held)
    assert [(await ask(thinking)).status_code for _ in range(3)] == [200] * 3


async def test_one_user_leaves_room_for_others_at_the_same_agent(
    system: System, thinking: httpx.AsyncClient, server: Server, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 3 * budget.OF_A_USER < budget.OF_A_CALLER
    monkeypatch.setattr(budget, "OF_A_USER", 1)
    scope, inference = "inference.run llama.chat", issuer.registry.id("inference")
    chain = "orchestrator", "agent/reader"
    bobs = system.client("inference", issuer.delegated(*chain, aud=inference, scope=scope, sub="bob"))
    server.goes_on.clear()
    held = asyncio.create_task(ask(thinking))
    await until(lambda: server.asked)

    refused = await asyncio.wait_for(ask(thinking), 60)
    assert (refused.status_code, refused.json()["reason"]) == (503, "model_busy")
    other = asyncio.create_task(ask(bobs))
    await until(lambda: len(server.asked) >= 2 or other.done())
    assert len(server.asked) >= 2, other.result().text
    server.goes_on.set()
    assert [(await held).status_code, (await other).status_code] == [200, 200]
    assert [(await ask(thinking)).status_code for _ in range(2)] == [200] * 2


async def test_models_are_listed_and_the_first_is_the_default(
    thinking: httpx.AsyncClient, listing: httpx.AsyncClient, server: Server
) -> None:
    before = await ask(thinking, model="default")
    assert (before.status_code, before.json()["reason"]) == (404, "no_default_model")
    assert "Start inference with ZT_MODEL" in before.json()["error"]["message"]
    assert server.asked == []  # its caller's token opens no list
    kinds = {"provider/e": "embedding", "provider/a": "llm", "provider/b": "llm", "a name": "llm"}
    server.answers(
        {
            "data": [
                {"id": name, "owned_by": SECRET, "custom_metadata": {"model_type": kind}}
                for name, kind in kinds.items()
            ]
        }
    )

    listed = await listing.get("/v1/models")
    assert [model["id"] for model in listed.json()["data"]] == ["provider/a", "provider/b"]
    assert SECRET not in listed.text
    server.answers(whole())
    assert (await ask(thinking, model="default")).json()["model"] == "provider/a"
    assert server.body["model"] == "provider/a"


async def test_a_long_list_of_models_is_read_and_the_first_are_shown(
    listing: httpx.AsyncClient, server: Server
) -> None:
    def listed(number: int) -> None:
        server.answers({"data": [_as_listed(f"provider/{count}") for count in range(number)]})

    listed(checked.MAX_LISTED)
    answer = await listing.get("/v1/models")
    assert [model["id"] for model in answer.json()["data"]] == [f"provider/{count}" for count in range(MAX_SHOWN)]
    check_size(answer.content, MAX_ELEMENTS)
    for number in (checked.MAX_LISTED + 1, checked.LIST_ELEMENTS):
        listed(number)
        assert (await listing.get("/v1/models")).json()["reason"] == "model_answer_invalid"


def _as_listed(name: str) -> dict[str, Any]:
    """A model as OGX lists it."""
    more = {"model_type": "llm", "provider_id": "provider", "provider_resource_id": name}
    return {"id": name, "object": "model", "created": 1, "owned_by": "ogx", "custom_metadata": more}


async def test_a_chosen_model_is_the_default_and_listed_first(
    tmp_path: Path, issuer: Issuer, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZT_MODEL", "provider/b")
    outside = {"llamastack": OutsideServer(origin=ORIGIN, spki_sha256=PIN)}
    async with running(tmp_path, "inference", issuer=issuer, outside=outside) as system:
        system.reaching[ORIGIN] = server
        token = issuer.delegated(
            "orchestrator",
            aud=issuer.registry.id("inference"),
            scope="inference.run llama.chat model.read llama.models",
        )
        client = system.client("inference", token)
        assert (await ask(client, model="default")).json()["model"] == "provider/b"
        server.answers({"data": [{"id": "provider/a"}, {"id": "provider/b"}]})
        listed = (await client.get("/v1/models")).json()["data"]
        assert [model["id"] for model in listed] == ["provider/b", "provider/a"]


@pytest.mark.parametrize("model", ["", "a b", "../v1/models", "x" * 200, "provider/a\n"])
async def test_a_name_that_is_none_is_not_passed_on(thinking: httpx.AsyncClient, server: Server, model: str) -> None:
    assert (await ask(thinking, model=model)).status_code == 404
    assert server.asked == []


@pytest.mark.parametrize(
    ("option", "value"), [("n", 2), ("logprobs", True), ("temperature", 9), ("max_tokens", 0), ("stop", ["x"] * 5)]
)
async def test_options_are_checked_before_they_are_passed_on(
    thinking: httpx.AsyncClient, server: Server, option: str, value: object
) -> None:
    assert (await ask(thinking, **{option: value})).status_code == 400
    assert server.asked == []
