"""What an agent makes of what a model or a tool says that is not what it was asked for."""

from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, CallToolResult, ImageContent, TextContent

from zerotrust.a2a import NONSENSE, PeerError
from zerotrust.errors import Refusal
from zerotrust.exchange import NarrowedToken
from zerotrust.policy import Reason
from zerotrust.thinking import Model, Tools, converse

TOKEN = NarrowedToken("spiffe://agents.example/inference", "id", 2_000_000_000, "T3")


def model(answer: httpx.Response | Exception) -> Model:
    """One that always says the same."""

    def said(_request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    http = httpx.AsyncClient(transport=httpx.MockTransport(said))
    service: Any = SimpleNamespace(addresses={"inference": "https://model.test"}, outgoing=SimpleNamespace(http=http))
    return Model(service)


def words(content: str | None) -> httpx.Response:
    return httpx.Response(200, json={"choices": [{"message": {"role": "assistant", "content": content}}]})


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(500), "answered with status 500"),
        (httpx.Response(403, json={"choices": [{"message": {"role": "assistant"}}]}), "answered with status 403"),
        (httpx.Response(401, json={"reason": "withdrawn"}), "refused with 401, withdrawn"),
        (Refusal(Reason.WOULD_WIDEN), "would_widen"),
        (httpx.Response(200, content=b"no JSON"), NONSENSE),
        (httpx.Response(200, json={"choices": []}), NONSENSE),
        (httpx.Response(200, json=[]), NONSENSE),
    ],
)
async def test_what_is_no_reply_of_a_model_is_told_as_such(answer: httpx.Response | Exception, told: str) -> None:
    with pytest.raises(PeerError) as error:
        await model(answer).reply([], [], TOKEN)

    assert error.value.told == f"inference: {told}"


class Listing:
    """A tool server that offers nothing."""

    async def offered(self, _token: NarrowedToken) -> list[dict[str, Any]]:
        return []


async def test_a_model_that_says_nothing_has_answered_nothing() -> None:
    tools: Any = Listing()
    answer = await converse("?", model=model(words(None)), thinking=TOKEN, tools=tools, acting=TOKEN)

    assert (answer.text, answer.broken) == ("", "")


def tools(answer: CallToolResult | MCPError) -> Tools:
    """One tool server that always says the same."""

    async def call_tool(_name: str, _arguments: dict[str, Any]) -> CallToolResult:
        if isinstance(answer, MCPError):
            raise answer
        return answer

    nobody: Any = None
    found = Tools(nobody, "tool/documents")
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
