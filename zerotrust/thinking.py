"""How an agent works: a model says which tools to call, the agent calls them with the caller's narrowed authority.

The agent does as the model says.  That is deliberate: what stops a model that was talked into something is the
authority of the token, not the agent's good sense.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import httpx
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel, Json

from zerotrust.a2a import NONSENSE, Answer, PeerError
from zerotrust.exchange import NarrowedToken
from zerotrust.outgoing import calling_with
from zerotrust.service import Service

MAX_TURNS = 16
"""Replies of a model after which a task is given up."""


class Tools:
    """One tool server (MCP 2026-07-28).  The client is shared by all users of this process, the token is not."""

    def __init__(self, service: Service, name: str) -> None:
        self._service, self._name = service, name
        self._client: Client | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open the client for as long as the app runs; nothing is sent before the first call."""
        url = f"{self._service.addresses[self._name]}/mcp"
        transport = streamable_http_client(url, http_client=self._service.outgoing.mcp_http)
        async with Client(transport, mode="2026-07-28", cache=None) as self._client:
            yield

    async def offered(self, token: NarrowedToken) -> list[dict[str, Any]]:
        """The tools that the holder of `token` may call, as a model wants them described."""
        assert self._client  # noqa: S101 - open while the app runs
        try:
            with calling_with(token):
                listed = (await self._client.list_tools()).tools
        except MCPError as error:
            raise PeerError(f"{self._name}: {_told(error)}") from error
        return [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.input_schema},
            }
            for tool in listed
        ]

    async def call(self, name: str, arguments: dict[str, Any], token: NarrowedToken) -> tuple[str, bool]:
        """Call a tool; return what it says and whether it did it.  A refusal is an answer, too."""
        assert self._client  # noqa: S101 - open while the app runs
        try:
            with calling_with(token):
                result = await self._client.call_tool(name, arguments)
        except MCPError as error:
            return _told(error), False
        text = "\n".join(part.text for part in result.content if part.type == "text")
        return text, not result.is_error


class _Function(BaseModel):
    name: str
    arguments: Json[dict[str, Any]]


class _ToolCall(BaseModel):
    id: str
    type: Literal["function"] = "function"
    function: _Function


class Reply(BaseModel):
    """What a model says: words, or tools to call first."""

    role: Literal["assistant"]
    content: str | None = None
    tool_calls: list[_ToolCall] = []


class Model:
    """A model behind an OpenAI-compatible API."""

    def __init__(self, service: Service, name: str = "inference", model: str = "scripted") -> None:
        self._service, self._name, self._model = service, name, model

    async def reply(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]], token: NarrowedToken) -> Reply:
        """The model's next message.  Raises `PeerError`, also for one that is none."""
        body = {"model": self._model, "messages": messages, "tools": tools}
        url = f"{self._service.addresses[self._name]}/v1/chat/completions"
        try:
            with calling_with(token):
                answer = await self._service.outgoing.http.post(url, json=body)
            answer.raise_for_status()
            return Reply.model_validate(answer.json()["choices"][0]["message"])
        except httpx.HTTPStatusError as error:
            raise PeerError(f"{self._name}: refused with {error.response.status_code}") from error
        except httpx.HTTPError as error:
            raise PeerError(f"{self._name}: could not be reached") from error
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise PeerError(f"{self._name}: {NONSENSE}") from error


async def converse(task: str, *, model: Model, thinking: NarrowedToken, tools: Tools, acting: NarrowedToken) -> Answer:
    """Let the model work on `task` with the tools until it answers in words.

    `thinking` is the token for the model, `acting` the one for the tools.  Raises `PeerError`.
    """
    messages: list[dict[str, Any]] = [{"role": "user", "content": task}]
    offered = await tools.offered(acting)
    failed: list[str] = []
    for _ in range(MAX_TURNS):
        reply = await model.reply(messages, offered, thinking)
        messages.append(reply.model_dump(round_trip=True))
        if not reply.tool_calls:
            return Answer(reply.content or "", tuple(failed))
        for call in reply.tool_calls:
            name, arguments = call.function.name, call.function.arguments
            said, done = await tools.call(name, arguments, acting)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": said})
            if not done:
                failed.append(f"{name} {json.dumps(arguments)}: {said}")
    raise PeerError("the model came to no end")


def _told(error: MCPError) -> str:
    data = error.error.data if isinstance(error.error.data, dict) else {}
    return f"refused ({data.get('reason', error.error.message)})"
