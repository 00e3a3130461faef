"""The official clients of both protocols, over a system's wires, as somebody who holds one token."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from a2a.client import Client as A2AClient
from a2a.client import ClientConfig, ClientFactory
from a2a.helpers.proto_helpers import get_data_parts, get_message_text, new_message, new_text_part
from a2a.types import Message, Role, SendMessageRequest
from mcp import Client as MCPClient
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult

from tests.support.ca import holder
from tests.support.system import MCPWire, System
from zerotrust.adapters.agent_card import agent_card


@asynccontextmanager
async def tools(system: System, token: str | None, *, mode: str = "2026-07-28") -> AsyncIterator[MCPClient]:
    """An MCP client of the documents tool."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with httpx2.AsyncClient(
        transport=MCPWire(system.apps, holder(token, at="tool/documents")), headers=headers
    ) as http:
        transport = streamable_http_client(f"{system.addresses['tool/documents']}/mcp", http_client=http)
        async with MCPClient(transport, mode=mode, cache=None) as client:
            yield client


async def use(system: System, token: str | None, tool: str, **arguments: Any) -> CallToolResult:
    """Call one tool of the documents tool with one token."""
    async with tools(system, token) as client:
        return await client.call_tool(tool, arguments)


async def refused(system: System, token: str | None, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call one tool in vain; return what the refusal tells."""
    async with tools(system, token) as client:
        try:
            result = await client.call_tool(tool, arguments)
        except MCPError as error:
            told: dict[str, Any] = error.error.data
            return told
    raise AssertionError(f"not refused: {result}")


def said(result: CallToolResult) -> str:
    """What a tool answered, as text."""
    return "\n".join(part.text for part in result.content if part.type == "text")


def agent(system: System, name: str, token: str | None) -> A2AClient:
    """An A2A client of one agent."""
    config = ClientConfig(streaming=False, httpx_client=system.client(name, token))
    return ClientFactory(config).create(agent_card(name, system.addresses[name], []))


def question(text: str) -> SendMessageRequest:
    return SendMessageRequest(message=new_message([new_text_part(text)], role=Role.ROLE_USER))


async def ask(system: System, name: str, token: str | None, text: str) -> Message:
    """Ask one agent with one token; return its message."""
    [reply] = [reply async for reply in agent(system, name, token).send_message(question(text))]
    return reply.message


def text_of(message: Message) -> str:
    return get_message_text(message)


def failed(message: Any) -> list[str]:
    return [entry for part in get_data_parts(message.parts) for entry in part["failed"]]
