"""The official OpenAI client at the inference service: whatever it sends and reads is what its users expect."""

import json
from collections.abc import Iterable
from typing import Any

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolUnionParam

from tests.support.ca import holder
from tests.support.issuer import Issuer
from tests.support.system import MCPWire, System

IMPORTANT = [f"IMPORTANT: {letter * 280}" for letter in "abcde"]
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
LONG: list[ChatCompletionMessageParam] = [
    {"role": "user", "content": "Summarise."},
    {
        "role": "assistant",
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "search", "arguments": ""}}],
    },
    {
        "role": "tool",
        "tool_call_id": "1",
        "content": json.dumps({"title": "A", "text": "\n".join(["Bad.", *IMPORTANT])}),
    },
]
"""The model has searched, and reads: it answers in many words."""
TOOLS: Iterable[ChatCompletionToolUnionParam] = [{"type": "function", "function": {"name": "search"}}]


def client_of(system: System, token: str) -> openai.AsyncOpenAI:
    """The client with its defaults, in the hands of whom the token was issued to."""
    http = httpx2.AsyncClient(transport=MCPWire(system.apps, holder(token, at="inference")))
    base_url = f"{system.addresses['inference']}/v1"
    return openai.AsyncOpenAI(api_key=token, base_url=base_url, http_client=http, max_retries=0)


@pytest.fixture
def client(system: System, issuer: Issuer) -> openai.AsyncOpenAI:
    """One that may use the model."""
    token = issuer.delegated("orchestrator", "agent/reader", aud=issuer.registry.id("inference"), scope="inference.run")
    return client_of(system, token)


async def test_an_answer_has_every_member_that_openais_schema_requires(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="scripted", messages=LONG)

    assert answer.id.startswith("chatcmpl-")
    assert (answer.object, answer.model) == ("chat.completion", "scripted")
    assert answer.created > 1_700_000_000
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    [choice] = answer.choices
    assert {"index", "message", "finish_reason", "logprobs"} <= choice.model_fields_set
    assert {"role", "content", "refusal"} <= choice.message.model_fields_set
    assert (choice.finish_reason, choice.message.role) == ("stop", "assistant")
    another = await client.chat.completions.create(model="scripted", messages=LONG)
    assert another.id != answer.id


@pytest.mark.parametrize("wanted", [True, False])
async def test_a_stream_comes_in_pieces_and_ends_with_the_usage_where_that_is_wanted(
    client: openai.AsyncOpenAI, wanted: bool
) -> None:
    options: Any = {"include_usage": True} if wanted else openai.omit
    stream = await client.chat.completions.create(
        model="scripted", messages=LONG, tools=TOOLS, stream=True, stream_options=options
    )
    chunks = [chunk async for chunk in stream]

    assert len({(chunk.id, chunk.created) for chunk in chunks}) == 1
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len([c for c in chunks if c.choices and c.choices[0].delta.content]) > 3
    assert [chunk.usage is not None for chunk in chunks] == [*[False] * (len(chunks) - 1), wanted]
    assert (chunks[-1].choices == []) is wanted


async def test_a_content_in_parts_is_read_like_a_text(client: openai.AsyncOpenAI) -> None:
    parts: list[ChatCompletionMessageParam] = [
        {"role": "user", "content": [{"type": "text", "text": "Say"}, {"type": "text", "text": "hello"}]}
    ]
    answer = await client.chat.completions.create(model="scripted", messages=parts, tools=TOOLS)

    [call] = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.arguments == '{"query": "Say\\nhello"}'


@pytest.mark.parametrize(
    ("changed", "status", "code", "param"),
    [
        ({"model": "gpt"}, 404, "model_not_found", "model"),
        ({"n": 2}, 400, "unsupported_option", "n"),
        ({"tool_choice": "required"}, 400, "unsupported_option", "tool_choice"),
        ({"response_format": {"type": "json_object"}}, 400, "unsupported_option", "response_format"),
        ({"logprobs": True}, 400, "unsupported_option", "logprobs"),
        ({"modalities": ["audio"], "audio": {"voice": "x", "format": "wav"}}, 400, "unsupported_option", "modalities"),
        ({"functions": [{"name": "x"}]}, 400, "unsupported_option", "functions"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
            415,
            "unsupported_content",
            None,
        ),
        ({"messages": []}, 400, "malformed_body", None),
    ],
)
async def test_what_is_not_offered_is_an_error_that_the_client_can_read(
    client: openai.AsyncOpenAI, changed: dict[str, Any], status: int, code: str, param: str | None
) -> None:
    asked: dict[str, Any] = {"model": "scripted", "messages": HELLO} | changed
    with pytest.raises(openai.APIStatusError) as error:
        await client.chat.completions.create(**asked)

    told = error.value
    assert (told.status_code, told.code, told.param, told.type) == (status, code, param, "invalid_request")
    assert isinstance(told.body, dict)
    assert told.body["message"]
    assert told.body["message"] in told.message


async def test_what_changes_nothing_is_ignored(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="scripted",
        messages=HELLO,
        temperature=0.3,
        max_completion_tokens=5,
        seed=1,
        n=1,
        tool_choice="auto",
        response_format={"type": "text"},
    )
    assert answer.choices[0].finish_reason == "stop"
