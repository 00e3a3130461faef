"""What an agent makes of what a model or a tool says that is not what it was asked for."""

import json
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, CallToolResult, ImageContent, TextContent

from zerotrust.adapters.agent_loop import (
    LONGEST_FAILURE,
    MAX_CALLS,
    MAX_CONVERSATION,
    MAX_TURNS,
    TOO_LONG,
    TOO_MANY,
    ModelClient,
    Reply,
    ToolClient,
    run_tool_loop,
)
from zerotrust.adapters.answer import NONSENSE, Answer, PeerError
from zerotrust.decision import Denied, Reason
from zerotrust.issuer.exchange import ExchangedToken

TOKEN = ExchangedToken("spiffe://agents.example/inference", "id", 2_000_000_000, "T3")


def model(answer: httpx.Response | Exception) -> ModelClient:
    """One that always says the same."""

    def said(_request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    http = httpx.AsyncClient(transport=httpx.MockTransport(said))
    service: Any = SimpleNamespace(addresses={"inference": "https://model.test"}, egress=SimpleNamespace(http=http))
    return ModelClient(service, "inference", model="scripted")


def words(content: str | None) -> httpx.Response:
    return httpx.Response(200, json={"choices": [{"message": {"role": "assistant", "content": content}}]})


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(500), "answered with status 500"),
        (httpx.Response(403, json={"choices": [{"message": {"role": "assistant"}}]}), "answered with status 403"),
        (httpx.Response(401, json={"reason": "revoked"}), "refused with 401, revoked"),
        (Denied(Reason.WOULD_WIDEN), "would_widen"),
        (httpx.Response(200, content=b"no JSON"), NONSENSE),
        (httpx.Response(200, json={"choices": []}), NONSENSE),
        (httpx.Response(200, json=[]), NONSENSE),
    ],
)
async def test_what_is_no_reply_of_a_model_is_reported_as_such(answer: httpx.Response | Exception, told: str) -> None:
    with pytest.raises(PeerError) as error:
        await model(answer).reply([], [], TOKEN)

    assert error.value.message == f"inference: {told}"


async def test_a_call_with_an_empty_text_for_arguments_has_none() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "search", "arguments": ""}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    said = await model(httpx.Response(200, json={"choices": [{"message": message}]})).reply([], [], TOKEN)

    assert said.tool_calls[0].function.arguments == {}


class Listing:
    """A tool server that offers nothing."""

    async def offered(self, _token: ExchangedToken) -> list[dict[str, Any]]:
        return []


async def test_a_model_that_says_nothing_has_answered_nothing() -> None:
    tools: Any = Listing()
    answer = await run_tool_loop("?", model=model(words(None)), model_token=TOKEN, tools=tools, tool_token=TOKEN)

    assert (answer.text, answer.broken) == ("", "")


def tools(answer: CallToolResult | MCPError) -> ToolClient:
    """One tool server that always says the same."""

    async def call_tool(_name: str, _arguments: dict[str, Any]) -> CallToolResult:
        if isinstance(answer, MCPError):
            raise answer
        return answer

    nobody: Any = None
    found = ToolClient(nobody, "tool/documents")
    client: Any = SimpleNamespace(call_tool=call_tool)
    found._client = client
    return found


async def test_of_what_a_tool_says_only_the_text_is_passed_on() -> None:
    parts: list[Any] = [
        TextContent(text="one"),
        ImageContent(data="aGk=", mime_type="image/png"),
        TextContent(text="two"),
    ]
    assert await tools(CallToolResult(content=parts)).call("read", {}, TOKEN) == ("one\ntwo", True)


async def test_arguments_that_a_tool_does_not_take_are_a_refusal_and_nothing_was_done() -> None:
    refused = MCPError(INVALID_PARAMS, "id: a number is no text")

    assert await tools(refused).call("read", {}, TOKEN) == ("refused (id: a number is no text)", False)


async def test_an_error_that_says_nothing_of_what_was_done_leaves_it_unclear() -> None:
    with pytest.raises(PeerError) as error:
        await tools(MCPError(INTERNAL_ERROR, "something")).call("read", {}, TOKEN)

    assert error.value.unclear


# how much


class Scripted:
    """A model that says these things, one after the other, and the last of them for ever."""

    def __init__(self, *replies: dict[str, Any]) -> None:
        self.replies, self.heard = list(replies), list[list[dict[str, Any]]]()

    async def reply(self, messages: list[dict[str, Any]], *_: Any) -> Reply:
        self.heard.append([dict(message) for message in messages])
        said = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return Reply.model_validate({"role": "assistant"} | said)


class Answering:
    """A tool server that answers each call with what a test says of that name, and counts them."""

    def __init__(self, **answers: str) -> None:
        self.answers, self.called = answers, list[str]()

    async def offered(self, _token: ExchangedToken) -> list[dict[str, Any]]:
        return []

    async def call(self, name: str, _arguments: dict[str, Any], _token: ExchangedToken) -> tuple[str, bool]:
        self.called.append(name)
        return self.answers.get(name, "refused (policy_denied)"), name in self.answers


def calls(*names: str, **arguments: str) -> dict[str, Any]:
    function = {"arguments": json.dumps(arguments)}
    return {"tool_calls": [{"id": str(n), "function": {"name": name} | function} for n, name in enumerate(names)]}


async def worked(task: str, model: Any, tools: Any) -> Answer:
    return await run_tool_loop(task, model=model, model_token=TOKEN, tools=tools, tool_token=TOKEN)


async def test_a_model_that_never_ends_is_given_up() -> None:
    model, tools = Scripted(calls("read")), Answering(read="x")

    answer = await worked("?", model, tools)

    assert answer.broken == "the model came to no end"
    assert len(model.heard) == len(answer.done) == MAX_TURNS


async def test_a_model_that_wants_too_many_calls_gets_so_many_and_goes_on_without_the_rest() -> None:
    """So a document that talks it into a thousand calls does not end the task."""
    tools, model = Answering(read="x"), Scripted(calls(*["read"] * (MAX_CALLS + 7)), {"content": "Done."})

    answer = await worked("?", model, tools)

    assert (answer.text, answer.broken) == ("Done.", "")
    assert len(tools.called) == len(answer.done) == MAX_CALLS
    assert answer.failed == (f"7 more: {TOO_MANY}",)
    assert [message["content"] for message in model.heard[1][-7:]] == [f"refused ({TOO_MANY})"] * 7


async def test_what_a_task_has_no_room_for_is_left_out_and_the_rest_goes_on() -> None:
    """One document too many, or one that is too long, is not the end of the task."""
    large = "x" * (MAX_CONVERSATION // 3)
    model = Scripted(calls("one", "two", "three", "four"), {"content": "Done."})

    answer = await worked("?", model, Answering(one=large, two=large, three=large, four="small"))

    assert (answer.text, answer.broken) == ("Done.", "")
    assert [len(message["content"]) for message in model.heard[1][2:]] == [len(large), len(large), len(TOO_LONG), 5]
    assert len(answer.done) == 4
    assert answer.failed == (f"three {{}}: {TOO_LONG}",)


@pytest.mark.parametrize("letter", ["x", "й", '"', "\x01"])
async def test_a_model_is_never_told_more_than_one_task_has_room_for(letter: str) -> None:
    sent: list[int] = []

    def said(request: httpx.Request) -> httpx.Response:
        sent.append(len(request.content))
        call = {"id": "1", "function": {"name": "read", "arguments": "{}"}}
        return httpx.Response(200, json={"choices": [{"message": {"role": "assistant", "tool_calls": [call]}}]})

    http = httpx.AsyncClient(transport=httpx.MockTransport(said))
    service: Any = SimpleNamespace(addresses={"inference": "https://model.test"}, egress=SimpleNamespace(http=http))

    await worked("?", ModelClient(service, "inference", model="scripted"), Answering(read=letter * 10_000))

    assert len(sent) == MAX_TURNS
    assert max(sent) < MAX_CONVERSATION + 1000


async def test_a_task_that_is_too_long_by_itself_is_refused_before_anything_is_done() -> None:
    tools = Answering()
    with pytest.raises(PeerError) as error:
        await worked("x" * MAX_CONVERSATION, Scripted({"content": "Done."}), tools)

    assert error.value.message == "more was said than one task has room for"


@pytest.mark.parametrize(
    "reply", [{"content": "x" * MAX_CONVERSATION}, calls("read", id="x" * MAX_CONVERSATION)], ids=["words", "a call"]
)
async def test_a_model_that_says_too_much_is_given_up_and_nothing_it_wants_is_done(reply: dict[str, Any]) -> None:
    tools = Answering(read="x")

    answer = await worked("?", Scripted(reply), tools)

    assert (answer.text, answer.broken) == ("", "more was said than one task has room for")
    assert tools.called == []


async def test_what_is_told_of_a_call_that_failed_has_an_end() -> None:
    answer = await worked("?", Scripted(calls("replace", text="x" * 50_000), {"content": "Done."}), Answering())

    (failed,) = answer.failed
    assert failed.startswith('replace {"text": "xxx')
    assert failed.endswith("xxx…: refused (policy_denied)")  # the user needs the cause, whatever the length of the call
    assert len(failed) == LONGEST_FAILURE + 1
