"""What an agent makes of what a model or a tool says that is not what it was asked for."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, patch

import httpx
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, CallToolResult, ImageContent, TextContent, Tool, ToolAnnotations

from zerotrust.adapters.answer import LONGEST_REFUSAL, NONSENSE, Answer, PeerError
from zerotrust.adapters.model_choice import LONGEST_MODEL, model_name
from zerotrust.agent import agent_loop as loop
from zerotrust.agent.agent_loop import run_tool_loop
from zerotrust.agent.model_client import EMPTY, LONGEST_NAME, Call, ModelClient, Reply, read_reply
from zerotrust.agent.tool_client import Offer, ToolClient
from zerotrust.decision import Denied, Reason
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.limits.answers import MAX_ANSWER, REPORTING_MARGIN

TOKEN = ExchangedToken("spiffe://agents.example/inference", "id", 2_000_000_000, "T3")


def model(answer: httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]) -> ModelClient:
    """One that always says the same, or what a function makes of a request."""

    def said(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else answer(request)

    http = httpx.AsyncClient(transport=httpx.MockTransport(said))
    service: Any = SimpleNamespace(addresses={"inference": "https://model.test"}, egress=SimpleNamespace(http=http))
    return ModelClient(service, "inference")


def said(message: dict[str, Any], *, ended: Any = "stop", **more: Any) -> httpx.Response:
    return httpx.Response(200, json={"choices": [{"message": message, "finish_reason": ended}], **more})


SURROGATE = b'{"choices": [{"message": {"role": "assistant", "content": "\\ud800"}}]}'


def refusal(status: int, told: Any = None, **more: Any) -> httpx.Response:
    """A refusal by this server of a model, with a code of its own."""
    return httpx.Response(status, json={"error": {"code": told}} | more)


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
        (said({"role": "user", "content": "x"}), NONSENSE),
        (said({"role": "assistant", "content": 1}), NONSENSE),
        (said({"role": "assistant", "content": "x", "tool_calls": {}}), NONSENSE),
        (httpx.Response(200, content=b'{"choices": [], "choices": []}'), NONSENSE),
        (httpx.Response(200, content=SURROGATE), NONSENSE),
        (
            refusal(429, "budget_spent", reason="budget_spent"),
            "refused with 429, budget_spent: this sign-in has used up its budget for the model",
        ),
        (
            refusal(400, "context_length_exceeded"),
            "answered with status 400: the conversation is too long for this model",
        ),
        (
            refusal(404, "model_not_found", reason="unknown_model"),
            "refused with 404, unknown_model: there is no such model",
        ),
        (
            refusal(404, "no_default_model", reason="no_default_model"),
            "refused with 404, no_default_model: no model was named, and none is set there as the default (ZT_MODEL)",
        ),
        (refusal(400, ["x"]), "answered with status 400"),
    ],
)
async def test_what_is_no_reply_of_a_model_is_reported_as_such(answer: httpx.Response | Exception, told: str) -> None:
    with pytest.raises(PeerError) as error:
        await model(answer).reply([], [], TOKEN)

    assert error.value.message == f"inference: {told}"


@pytest.mark.parametrize(
    ("status", "outage"), [(400, ""), (404, ""), (429, ""), (500, "no_answer"), (503, "unavailable"), (504, "late")]
)
@pytest.mark.parametrize("body", [{}, {"error": {"code": "model_not_found"}}, {"reason": "new", "begun": True}])
async def test_the_status_of_a_model_s_refusal_says_whether_it_is_an_outage(
    body: dict[str, Any], status: int, outage: str
) -> None:
    """Nothing is unclear whatever else it says, for a call of a model has no effect."""
    with pytest.raises(PeerError) as error:
        await model(httpx.Response(status, json=body)).reply([], [], TOKEN)

    assert (error.value.outage, error.value.unclear) == (outage, False)


def reply(message: dict[str, Any], *, ended: Any = "stop", **more: Any) -> Reply:
    return read_reply(said({"role": "assistant"} | message, ended=ended, **more).content)


def a_call(arguments: Any = "{}", name: Any = "search") -> dict[str, Any]:
    return {"tool_calls": [{"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}]}


@pytest.mark.parametrize(
    ("arguments", "meant"), [("", {}), (None, {}), ("{}", {}), ('{"a": 1}', {"a": 1}), ({"a": 1}, {"a": 1})]
)
def test_a_call_without_arguments_has_none_whatever_is_sent_for_it(arguments: Any, meant: dict[str, Any]) -> None:
    assert reply(a_call(arguments)).calls == (Call("search", meant),)


@pytest.mark.parametrize("arguments", ["{", "[1]", "null", "1", '{"a": 1, "a": 2}', '{"a": "\\ud800"}', 7, ["a"], True])
def test_arguments_that_are_no_object_cost_one_call_and_not_the_reply(arguments: Any) -> None:
    good = a_call('{"a": 1}')["tool_calls"]

    bad, other = reply({"tool_calls": a_call(arguments)["tool_calls"] + good}).calls
    assert bad == Call("search", {}, "the arguments are not a JSON object")
    assert other == Call("search", {"a": 1})


@pytest.mark.parametrize(
    "entry",
    [
        *(a_call(name=name)["tool_calls"][0] for name in (None, "", 1, ["x"], "x" * (LONGEST_NAME + 1))),
        {},
        {"function": None},
        {"function": {}},
        {"custom": {"name": "x"}, "type": "custom"},
        "search",
        None,
    ],
)
def test_a_call_of_nothing_costs_itself_alone(entry: Any) -> None:
    bad, good = reply({"tool_calls": [entry, *a_call()["tool_calls"]]}).calls

    assert bad.wrong == "the call has no name of a tool"
    assert not good.wrong
    assert not reply(a_call(name="x" * LONGEST_NAME)).calls[0].wrong


@pytest.mark.parametrize(
    ("message", "ended", "stopped"),
    [
        ({"content": "half a sen"}, "length", "the model's answer was cut off at its limit of tokens"),
        ({"content": ""}, "length", "the model's answer was cut off at its limit of tokens"),
        ({"content": "x"}, "content_filter", "the model's answer was withheld by a content filter"),
        ({"content": None, "refusal": "I will not."}, "stop", "the model refused: I will not."),
        ({"content": None, "refusal": "x" * 999}, "stop", f"the model refused: {'x' * 200}…"),
        ({"content": None}, "stop", EMPTY),
        ({"content": ""}, None, EMPTY),
        ({"content": " \n"}, "stop", EMPTY),
        ({"content": None, "tool_calls": None}, "stop", EMPTY),
        ({"content": "Done.", "refusal": None}, "stop", ""),
        ({"content": "Done."}, ["x"], ""),
        ({"content": None, **a_call()}, "tool_calls", ""),
    ],
)
def test_what_is_no_whole_answer_is_told_apart_from_one(message: dict[str, Any], ended: Any, stopped: str) -> None:
    found = reply(message, ended=ended)
    assert (found.text, found.stopped) == (message["content"] or "", stopped)


Callers = Callable[[float], None]


@pytest.fixture(autouse=True)
def callers(monkeypatch: pytest.MonkeyPatch) -> Callers:
    """Let the token of the caller end in so many seconds; first, in two minutes."""

    def end_in(seconds: float) -> None:
        caller = SimpleNamespace(expires_at=time.time() + seconds)
        monkeypatch.setattr("zerotrust.agent.agent_loop.current_principal", lambda: caller)

    end_in(120)
    return end_in


async def token() -> ExchangedToken:
    """The same for every call."""
    return TOKEN


# which model


@pytest.mark.parametrize("name", ["", " ", "a b", "a\n", "/a", "-a", "é", "x" * (LONGEST_MODEL + 1), None, 1, ["a"]])
def test_what_is_no_name_of_a_model_is_none(name: Any) -> None:
    with pytest.raises(ValueError, match="not the name of a model"):
        model_name(name)
    assert model_name("x" * LONGEST_MODEL) == "x" * LONGEST_MODEL


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


async def test_arguments_that_a_tool_does_not_take_change_nothing_and_after_any_other_error_that_is_unclear() -> None:
    refused = MCPError(INVALID_PARAMS, "id: a number is no text")
    assert await tools(refused).call("read", {}, TOKEN) == ("refused (id: a number is no text)", False)

    with pytest.raises(PeerError) as error:
        await tools(MCPError(INTERNAL_ERROR, "something")).call("read", {}, TOKEN)
    assert error.value.unclear
    for reason, outage in (Reason.BUSY, "unavailable"), (Reason.TOO_MANY_REQUESTS, ""):
        with pytest.raises(PeerError) as error:
            await tools(MCPError(INVALID_PARAMS, "", {"reason": reason})).call("read", {}, TOKEN)
        assert (error.value.outage, error.value.unclear) == (outage, False)


async def test_a_tool_changes_nothing_only_if_it_says_so() -> None:
    said = {"a": None, "b": ToolAnnotations(title="b"), "c": ToolAnnotations(read_only_hint=True)}
    client: Any = tools(CallToolResult(content=[]))
    listed = [Tool(name=name, input_schema={}, annotations=its) for name, its in said.items()]
    client._client.list_tools = AsyncMock(return_value=SimpleNamespace(tools=listed))
    with patch.object(client, "_check"):
        assert (await client.list_tools(TOKEN)).read_only == {"c"}


@pytest.mark.parametrize("code", [INTERNAL_ERROR, INVALID_PARAMS])
@pytest.mark.parametrize("data", [None, {"reason": "x" * MAX_ANSWER}, {"reason": "peer_unavailable" * MAX_ANSWER}])
async def test_what_a_tool_says_in_an_error_hides_nothing_of_what_was_done(code: int, data: Any) -> None:
    """The agent's caller reads no account that is longer than `MAX_ANSWER`."""

    class Failing(Answering):
        async def call(self, name: str, arguments: dict[str, Any], token: ExchangedToken) -> tuple[str, bool]:
            if name in self.answers:
                return await super().call(name, arguments, token)
            return await tools(MCPError(code, "x" * MAX_ANSWER, data)).call(name, arguments, token)

    answer = await worked("?", Scripted(calls("create", "read"), SAID), Failing(create="filed"))

    assert answer.done == ("create {}: filed",)
    assert len(answer.model_dump_json()) < 4 * LONGEST_REFUSAL + loop.LONGEST_FAILURE


# how much


class Scripted:
    """A model that says these things, one after the other, and the last of them for ever."""

    name = "model"

    def __init__(self, *replies: Reply, hangs: bool = False) -> None:
        self.replies, self.hangs, self.heard = list(replies), hangs, list[list[dict[str, Any]]]()

    async def reply(self, messages: list[dict[str, Any]], *_: Any) -> Reply:
        self.heard.append([dict(message) for message in messages])
        if self.hangs and len(self.replies) == 1:
            await asyncio.Event().wait()
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


class Asking(Scripted):
    """A model that always asks for another call."""

    async def reply(self, messages: list[dict[str, Any]], *_: Any) -> Reply:
        self.heard.append([dict(message) for message in messages])
        return Reply(calls=(Call("read", {"id": str(len(self.heard))}),))


class Answering:
    """A tool server that answers each call with what a test says of that name, and counts them."""

    name = "tool"

    def __init__(self, *, read_only: frozenset[str] = frozenset(), **answers: str) -> None:
        self.answers, self.called, self.read_only = answers, list[str](), read_only

    async def list_tools(self, _token: ExchangedToken) -> Offer:
        return Offer([{"type": "function", "function": {"name": name}} for name in self.answers], self.read_only)

    async def call(self, name: str, _arguments: dict[str, Any], _token: ExchangedToken) -> tuple[str, bool]:
        self.called.append(name)
        said = self.answers.get(name, "refused (policy_denied)")
        return said, not said.startswith("refused")


SAID = Reply("Done.")


def calls(*names: str, **arguments: str) -> Reply:
    return Reply(calls=tuple(Call(name, dict(arguments)) for name in names))


async def worked(task: str, model: Any, tools: Any) -> Answer:
    return await run_tool_loop(task, model=model, model_token=token, tools=tools, tool_token=token)


@pytest.mark.parametrize("refused", ["model", "tool"])
async def test_where_the_next_token_is_refused_what_was_done_is_told(refused: str) -> None:
    asked = {"model": 0, "tool": 0}

    def source(which: str) -> Callable[[], Awaitable[ExchangedToken]]:
        async def get() -> ExchangedToken:
            asked[which] += 1
            if which == refused and asked[which] > 2:  # the first of each comes before the first call
                raise Denied(Reason.REVOKED)
            return TOKEN

        return get

    model: Any = Asking()
    tools: Any = Answering(read="x")
    answer = await run_tool_loop("?", model=model, model_token=source("model"), tools=tools, tool_token=source("tool"))

    assert answer.broken == f"{refused}: refused (revoked)"
    assert answer.done == ('read {"id": "1"}: x',)
    assert answer.failed == (('read {"id": "2"}: tool: refused (revoked)',) if refused == "tool" else ())
    assert answer.unclear == ()


async def test_a_model_that_never_ends_is_given_up() -> None:
    model = Asking()
    answer = await worked("?", model, Answering(read="x"))

    assert answer.broken == loop.NO_END
    assert len(model.heard) == len(answer.done) == loop.MAX_TURNS


async def test_a_model_that_wants_too_many_calls_gets_so_many_and_goes_on_without_the_rest() -> None:
    """So a document that talks it into a thousand calls does not end the task."""
    wanted = tuple(Call("read", {"id": str(number)}) for number in range(loop.MAX_CALLS + 7))
    tools, model = Answering(read="x"), Scripted(Reply(calls=wanted), SAID)

    answer = await worked("?", model, tools)

    assert (answer.text, answer.broken) == ("Done.", "")
    assert len(tools.called) == len(answer.done) == loop.MAX_CALLS
    assert answer.failed == (f"7 more: {loop.TOO_MANY}",)
    assert [message["content"] for message in model.heard[1][-7:]] == [f"refused ({loop.TOO_MANY})"] * 7


CREATE = (Call("create", {"text": "hal"}),)
CUT_OFF, REFUSED = "the model's answer was cut off at its limit of tokens", "the model refused: no"


@pytest.mark.parametrize(
    ("reply", "text", "broken"),
    [
        pytest.param(Reply("", stopped=EMPTY), "", EMPTY, id="nothing"),
        pytest.param(Reply("x", CREATE, CUT_OFF), "", CUT_OFF, id="half a call"),
        pytest.param(Reply("x", CREATE, REFUSED), "", REFUSED, id="a refusal with a call"),
        pytest.param(Reply("x" * loop.MAX_CONVERSATION, CREATE), "", loop.NO_ROOM, id="too many words"),
        pytest.param(calls("create", id="x" * loop.MAX_CONVERSATION), "", loop.NO_ROOM, id="too long a call"),
    ],
)
async def test_a_reply_is_an_answer_or_the_reason_why_there_is_none_and_then_nothing_is_done(
    reply: Reply, text: str, broken: str
) -> None:
    tools = Answering(create="x")
    answer = await worked("?", Scripted(reply), tools)

    assert (answer.text, answer.broken, tools.called) == (text, broken, [])


async def test_a_model_that_takes_too_long_is_given_up() -> None:
    with patch("zerotrust.agent.agent_loop.MAX_SECONDS", 0):
        answer = await worked("?", Scripted(SAID, hangs=True), Answering())

    assert answer.broken == loop.NO_TIME


async def test_a_task_ends_before_its_callers_token_does(callers: Callers) -> None:
    callers(loop.SECONDS_TO_REPORT)
    async with asyncio.timeout(loop.MAX_SECONDS / 2):
        assert (await worked("?", Scripted(SAID, hangs=True), Answering())).broken == loop.NO_TIME

    callers(loop.SECONDS_TO_REPORT + 60)
    assert (await worked("?", Scripted(SAID), Answering())).text == "Done."


async def test_a_tool_that_hangs_is_given_up_before_the_caller_stops_waiting(callers: Callers) -> None:
    class Hanging(Answering):
        async def call(self, *_: Any) -> tuple[str, bool]:
            late.start()  # from now on
            await asyncio.Event().wait()
            raise AssertionError

    running, now = asyncio.get_running_loop(), asyncio.get_running_loop().time
    callers(20)
    late = patch.object(running, "time", lambda: now() + 20 - 2 * REPORTING_MARGIN)
    try:
        answer = await worked("?", Scripted(calls("read")), Hanging())
    finally:
        late.stop()

    assert answer.broken == "tool: gave no answer in time"
    assert answer.unclear == ("read {}: tool: gave no answer in time",)


async def test_no_call_is_begun_when_the_time_is_over() -> None:
    tools, now = Answering(read="x"), asyncio.get_running_loop().time

    class Slow(Scripted):
        async def reply(self, *_: Any) -> Reply:
            late.start()  # from now on
            return calls("read")

    late = patch.object(asyncio.get_running_loop(), "time", lambda: now() + loop.MAX_SECONDS)
    try:
        answer = await worked("?", Slow(), tools)
    finally:
        late.stop()

    assert (answer.broken, tools.called) == (loop.NO_TIME, [])
    assert answer.failed == (f"read {{}}: {loop.NO_TIME}",)


# nothing twice, and nothing for ever


async def test_a_call_that_has_succeeded_is_not_made_again_unless_it_only_reads() -> None:
    tools = Answering(create="filed", read="x", read_only=frozenset({"read"}))
    again = calls("create", "read", a="1", b="2")
    turned = Reply(calls=(Call("create", {"b": "2", "a": "1"}), Call("create", {"a": "2"})))
    model = Scripted(again, Reply(calls=again.calls + turned.calls), SAID)

    answer = await worked("?", model, tools)

    assert tools.called == ["create", "read", "read", "create"]
    assert answer.text == "Done."
    assert answer.failed == (
        f'create {{"a": "1", "b": "2"}}: {loop.DONE}',
        f'create {{"b": "2", "a": "1"}}: {loop.DONE}',
    )
    assert [message["content"] for message in model.heard[2][-4:]] == [loop.DONE, "x", loop.DONE, "filed"]


async def test_a_bad_call_takes_nothing_from_one_beside_it() -> None:
    bad = Call("read", {}, "the arguments are not a JSON object")
    tools = Answering(read="x")
    answer = await worked("?", Scripted(Reply(calls=(bad, Call("read", {}))), SAID), tools)

    assert (answer.text, tools.called, answer.failed) == ("Done.", ["read"], (f"read {{}}: {bad.wrong}",))


async def test_a_model_that_calls_what_does_not_exist_is_told_what_does() -> None:
    """The tool's door has refused it, and that is on record there."""
    model, tools = Scripted(calls("reed", "read", "search"), SAID), Answering(read="x", search="refused (failed)")

    answer = await worked("?", model, tools)

    assert tools.called == ["reed", "read", "search"]
    assert [message["content"] for message in model.heard[1][-3:]] == [
        "refused (policy_denied); the tools are read, search",
        "x",
        "refused (failed)",
    ]
    assert answer.failed == ("reed {}: refused (policy_denied)", "search {}: refused (failed)")


async def test_the_messages_have_ids_of_their_own_and_names_that_every_server_takes() -> None:
    model = Scripted(calls("read", "re ad\r\n"), calls("read"), SAID)

    await worked("?", model, Answering(read="x", read_only=frozenset({"read"})))

    first, _, _, second, _ = model.heard[2][1:]
    assert first["content"] is None
    sent = [*first["tool_calls"], *second["tool_calls"]]
    assert [call["id"] for call in sent] == ["call-1", "call-2", "call-3"]
    assert [call["function"]["name"] for call in sent] == ["read", "re_ad__", "read"]
    assert [m["tool_call_id"] for m in model.heard[2] if m["role"] == "tool"] == ["call-1", "call-2", "call-3"]


# how long


async def test_what_a_task_has_no_room_for_is_left_out_and_the_rest_goes_on() -> None:
    """One document too many, or one that is too long, is not the end of the task."""
    large = "x" * (loop.MAX_CONVERSATION // 3)
    model = Scripted(calls("one", "two", "three", "four"), SAID)

    answer = await worked("?", model, Answering(one=large, two=large, three=large, four="small"))

    assert (answer.text, answer.broken) == ("Done.", "")
    assert [len(message["content"]) for message in model.heard[1][2:]] == [
        len(large),
        len(large),
        len(loop.TOO_LONG),
        5,
    ]
    assert len(answer.done) == 4
    assert answer.failed == (f"three {{}}: {loop.TOO_LONG}",)


@pytest.mark.parametrize("letter", ["x", "й", '"', "\x01"])
async def test_a_model_is_never_told_more_than_one_task_has_room_for(letter: str) -> None:
    sent: list[int] = []

    def asks(request: httpx.Request) -> httpx.Response:
        sent.append(len(request.content))
        return said({"role": "assistant"} | a_call(json.dumps({"id": len(sent)}), name="read"))

    await worked("?", model(asks), Answering(read=letter * 10_000))

    assert len(sent) == loop.MAX_TURNS
    assert max(sent) < loop.MAX_CONVERSATION + 1000


async def test_a_task_that_is_too_long_by_itself_is_refused_before_anything_is_done() -> None:
    tools = Answering()
    with pytest.raises(PeerError) as error:
        await worked("x" * loop.MAX_CONVERSATION, Scripted(SAID), tools)

    assert error.value.message == loop.NO_ROOM


async def test_what_is_told_of_a_call_has_an_end() -> None:
    tools = Answering(read="y" * 500)
    answer = await worked("?", Scripted(calls("read", id="x" * 500), calls("replace", text="x" * 50_000), SAID), tools)

    (done,), (failed,) = answer.done, answer.failed
    assert done.startswith('read {"id": "xxx')
    assert done.endswith("yyy…")
    assert len(done) == 2 * (loop.LONGEST + 1) + len(": ")
    assert failed.startswith('replace {"text": "xxx')
    assert failed.endswith("xxx…: refused (policy_denied)")  # the user needs the cause, whatever the length of the call
    assert len(failed) == loop.LONGEST_FAILURE + 1
