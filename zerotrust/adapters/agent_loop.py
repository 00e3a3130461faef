"""The loop of an agent: a model chooses the tools to call, and the agent calls them with an exchanged token.

The agent obeys the model.  That is deliberate: what limits a manipulated model is the rights of the token, not the
agent's judgement.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

import httpx
from pydantic import BaseModel, BeforeValidator, Json
from pydantic_core import to_json

from zerotrust.adapters.answer import NONSENSE, Answer, PeerError, refused, unreached, untouched
from zerotrust.adapters.digests import tool_digest
from zerotrust.adapters.extras import extra
from zerotrust.decision import WHENEVER, Denied, Reason
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.service import Service
from zerotrust.transport.egress import calling_with

with extra("mcp"):
    from anyio import BrokenResourceError
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client
    from mcp.shared.exceptions import MCPError
    from mcp_types import INVALID_PARAMS, Tool


MAX_TURNS = 16
"""Replies of a model after which a task is given up."""
MAX_CALLS = 64
"""Tool calls in one task; any more are refused, and the model gets the refusal."""
MAX_CONVERSATION = 384 * 1024
"""Bytes of all messages of a task as JSON, with room for several documents of the largest size.

The routes of the model and of the next agent do not accept more (`routes.py`)."""
LONGEST, LONGEST_FAILURE = 100, 1000
"""Characters that the account has of a call and of its result; and of a call that failed."""
TOO_LONG, TOO_MANY = "the answer is too long for this task", "too many calls for one task"
AWAY = frozenset(reason for reason in Reason if reason.status in (429, 503)) | {Reason.PEER_REVOKED} | WHENEVER
"""Reasons for which no call of a tool is possible now."""


class ToolClient:
    """One tool server (MCP 2026-07-28).  All users of this process share the client, but no token."""

    def __init__(self, service: Service, name: str) -> None:
        self._service, self._name = service, name
        self._client: Client | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open the client while the app runs; nothing is sent before the first call.

        An answer that comes while the SDK closes finds its stream closed: no call waits for it any more.
        """
        url = f"{self._service.addresses[self._name]}/mcp"
        transport = streamable_http_client(url, http_client=self._service.egress.mcp_http)
        try:
            async with Client(transport, mode="2026-07-28", cache=None) as self._client:
                yield
        except* BrokenResourceError:
            pass

    async def offered(self, token: ExchangedToken) -> list[dict[str, Any]]:
        """Return the tools that the holder of `token` may call, in the form for a model.

        Raises `PeerError`, and `Denied` if they are not as approved.
        """
        assert self._client  # noqa: S101 - open while the app runs
        try:
            with calling_with(token):
                listed = (await self._client.list_tools()).tools
        except MCPError as error:
            raise PeerError(f"{self._name}: refused ({_reason(error)})") from error
        await self._check(listed)
        return [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.input_schema},
            }
            for tool in listed
        ]

    async def _check(self, listed: list[Tool]) -> None:
        """Check that the descriptions, which a model will read, are as approved.  Raises `Denied`."""
        approved = self._service.snapshot.approved[self._name].tools
        for tool in listed:
            described = tool.model_dump(mode="json", by_alias=True)
            if approved.get(tool.name) != tool_digest(described):  # control: tool-description-approved
                await self._service.distrust(self._name, f"tool {tool.name} is not as it was approved")

    async def call(self, name: str, arguments: dict[str, Any], token: ExchangedToken) -> tuple[str, bool]:
        """Call a tool.  Return its answer, and whether the call succeeded; a refusal is an answer, too.

        Raises `PeerError` if the tool is unavailable, with `unclear` if the call may have taken effect all the same.
        """
        assert self._client  # noqa: S101 - open while the app runs
        try:
            with calling_with(token):
                result = await self._client.call_tool(name, arguments)
        except MCPError as error:
            reason = _reason(error)
            if error.error.code != INVALID_PARAMS and not untouched(_problem(error)):
                raise PeerError(f"{self._name}: gave no answer ({reason})", unclear=True) from error
            if reason in AWAY:
                raise PeerError(f"{self._name}: refused ({reason})") from error
            return f"refused ({reason})", False
        text = "\n".join(part.text for part in result.content if part.type == "text")
        return text, not result.is_error


class _Function(BaseModel):
    name: str
    arguments: Annotated[Json[dict[str, Any]], BeforeValidator(lambda given: given or "{}")]
    """Models send an empty text if there are none."""


class _ToolCall(BaseModel):
    id: str
    type: Literal["function"] = "function"
    function: _Function


class Reply(BaseModel):
    """A model's message: text, or the tools to call first."""

    role: Literal["assistant"]
    content: str | None = None
    tool_calls: list[_ToolCall] = []


class ModelClient:
    """A model behind an OpenAI-compatible API."""

    def __init__(self, service: Service, party: str, *, model: str) -> None:
        """`party` serves the API, under the name that the registry has for it; `model` is what it calls the model."""
        self._service, self._party, self._model = service, party, model

    async def reply(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]], token: ExchangedToken) -> Reply:
        """Return the model's next message.  Raises `PeerError`, also for an invalid one."""
        body = {"model": self._model, "messages": messages, "tools": tools}
        url = f"{self._service.addresses[self._party]}/v1/chat/completions"
        try:
            with calling_with(token):
                answer = await self._service.egress.http.post(url, json=body)
            answer.raise_for_status()
            return Reply.model_validate(answer.json()["choices"][0]["message"])
        except httpx.HTTPStatusError as error:
            raise refused(self._party, error.response) from error
        except httpx.TransportError as error:
            raise unreached(self._party, error) from error
        except Denied as error:
            raise PeerError(f"{self._party}: {error.public_reason}") from error
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise PeerError(f"{self._party}: {NONSENSE}") from error


async def run_tool_loop(
    task: str, *, model: ModelClient, model_token: ExchangedToken, tools: ToolClient, tool_token: ExchangedToken
) -> Answer:
    """Let the model work on `task` with the tools until it answers in words.

    `model_token` is for the model, `tool_token` for the tools.  Before any call, raises `PeerError`, or `Denied`
    for tools that are not as approved; a later error is reported in the answer, with what was done by then.
    """
    messages: list[dict[str, Any]] = [{"role": "user", "content": task}]  # control: messages-of-one-task
    talk, offered = _Talk(messages, tools, tool_token), await tools.offered(tool_token)
    try:
        for _ in range(MAX_TURNS):
            reply = await model.reply(messages, offered, model_token)
            talk.add(reply.model_dump(round_trip=True))
            if not reply.tool_calls:
                return talk.account(text=reply.content or "")
            for call in reply.tool_calls:
                await talk.do(call)
    except PeerError as error:
        return talk.account(broken=error.message)
    return talk.account(broken="the model came to no end")


class _Talk:
    """The messages of one task, within bounds, and the account of its calls."""

    def __init__(self, messages: list[dict[str, Any]], tools: ToolClient, tool_token: ExchangedToken) -> None:
        """Continue `messages`, and append to them.  Raises `PeerError` if they are too large already."""
        self._messages, self._tools, self._tool_token = messages, tools, tool_token
        self._room, self._calls = MAX_CONVERSATION, 0
        self._done, self._failed, self._unclear = list[str](), list[str](), list[str]()
        for message in messages:
            self._take(message)

    def account(self, *, text: str = "", broken: str = "") -> Answer:
        """Return the answer, with the account of the calls."""
        undone = (f"{self._calls - MAX_CALLS} more: {TOO_MANY}",) if self._calls > MAX_CALLS else ()
        done, failed, unclear = tuple(self._done), (*self._failed, *undone), tuple(self._unclear)
        return Answer(text=text, done=done, failed=failed, unclear=unclear, broken=broken)

    def add(self, message: dict[str, Any]) -> None:
        """Add a message.  Raises `PeerError` if there is no room for it."""
        self._take(message)
        self._messages.append(message)

    def _take(self, message: dict[str, Any]) -> None:
        self._room -= _size(message)
        if self._room < 0:
            raise PeerError("more was said than one task has room for")

    async def do(self, call: _ToolCall) -> None:
        """Make a call for the model, and add the result to the messages.

        Raises `PeerError` if the tool is unavailable, and if there is no room left.
        """
        self._calls += 1
        if self._calls > MAX_CALLS:  # control: tool-calls-bounded
            self.add({"role": "tool", "tool_call_id": call.id, "content": f"refused ({TOO_MANY})"})
            return
        name, arguments = call.function.name, call.function.arguments
        what = f"{name} {json.dumps(arguments)}"
        try:
            said, did = await self._tools.call(name, arguments, self._tool_token)
        except PeerError as error:
            (self._unclear if error.unclear else self._failed).append(_failure(what, error.message))
            raise
        if did:
            self._done.append(f"{_cut(what)}: {_cut(said)}")
        else:
            self._failed.append(_failure(what, said))
        result = {"role": "tool", "tool_call_id": call.id, "content": said}
        if _size(result) > self._room:  # the model continues without this result  # control: task-text-bounded
            result["content"] = TOO_LONG
            self._failed.append(_failure(what, TOO_LONG))
        self.add(result)


def _size(message: dict[str, Any]) -> int:
    """Return the bytes of a message as JSON, with the comma that follows it."""
    return len(to_json(message)) + 1


def _cut(text: str, longest: int = LONGEST) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"


def _failure(what: str, cause: str) -> str:
    """Return a failed call with its cause; if both are too long, the call is cut, because the user needs the cause."""
    cause = _cut(cause, LONGEST_FAILURE - LONGEST)
    return f"{_cut(what, LONGEST_FAILURE - len(cause) - 2)}: {cause}"  # control: failure-keeps-cause


def _problem(error: MCPError) -> dict[str, Any]:
    return error.error.data if isinstance(error.error.data, dict) else {}


def _reason(error: MCPError) -> str:
    return str(_problem(error).get("reason", error.error.message))
