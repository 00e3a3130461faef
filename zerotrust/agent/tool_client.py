"""The client of a tool server (MCP): lists the tools, which must be as approved, and calls them with a given token."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from anyio import BrokenResourceError, ClosedResourceError
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, Tool

from zerotrust.adapters.agent_card import canonical
from zerotrust.adapters.answer import LONGEST_REFUSAL, Outage, PeerError, no_effect
from zerotrust.decision import WHENEVER, Reason
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.limits.bounded import cut
from zerotrust.service import Service
from zerotrust.transport.egress import calling_with

AWAY = frozenset(reason for reason in Reason if reason.status in (429, 503)) | {Reason.PEER_REVOKED} | WHENEVER
"""Reasons for which no call of a tool is possible now."""
_NOT_NOW = frozenset(reason for reason in Reason if reason.status == 503)


@dataclass(frozen=True, slots=True)
class Offer:
    """The tools that the holder of a token may call."""

    tools: list[dict[str, Any]]
    """The tools, in the form for a model."""
    read_only: frozenset[str] = frozenset()
    """The names of those that change nothing, as their approved descriptions say (`readOnlyHint`)."""

    @property
    def names(self) -> list[str]:
        return [tool["function"]["name"] for tool in self.tools]


class ToolClient:
    """One tool server (MCP 2026-07-28).  All users of this process share the client, but no token."""

    def __init__(self, service: Service, name: str) -> None:
        self._service, self.name = service, name
        self._client: Client | None = None
        self._checked: tuple[dict[str, str], list[Tool]] | None = None
        """The approval and the tools that matched last."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Open the client while the app runs; nothing is sent before the first call.

        An answer that comes while the SDK closes finds its stream closed, which does not matter: no call waits for it.
        """
        url = f"{self._service.addresses[self.name]}/mcp"
        transport = streamable_http_client(url, http_client=self._service.egress.mcp_http)
        try:
            async with Client(transport, mode="2026-07-28", cache=None) as self._client:
                yield
        except* (BrokenResourceError, ClosedResourceError):
            pass

    async def list_tools(self, token: ExchangedToken) -> Offer:
        """Return the tools that the holder of `token` may call.

        Raises `PeerError`, and `Denied` if they are not as approved.
        """
        assert self._client  # noqa: S101 - open while the app runs
        try:
            with calling_with(token):
                listed = (await self._client.list_tools()).tools
        except MCPError as error:
            raise _refusal_error(self.name, error) from error
        await self._check(listed)
        return Offer(
            [
                {
                    "type": "function",
                    "function": {"name": tool.name, "description": tool.description, "parameters": tool.input_schema},
                }
                for tool in listed
            ],
            frozenset(tool.name for tool in listed if tool.annotations and tool.annotations.read_only_hint),
        )

    async def _check(self, listed: list[Tool]) -> None:
        """Check that the descriptions, which a model will read, are as approved.  Raises `Denied`."""
        approved = self._service.snapshot.approved[self.name].tools
        if self._checked == (approved, listed):
            return
        for tool in listed:
            described = tool.model_dump(mode="json", by_alias=True)
            if approved.get(tool.name) != tool_digest(described):  # control: tool-description-approved
                await self._service.distrust(self.name, f"tool {tool.name} is not as it was approved")
        self._checked = approved, listed

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
            if error.error.code != INVALID_PARAMS and not no_effect(_problem(error)):
                raise PeerError(f"{self.name}: gave no answer ({reason})", unclear=True) from error
            if reason in AWAY:
                raise _refusal_error(self.name, error) from error
            return f"refused ({reason})", False
        text = "\n".join(part.text for part in result.content if part.type == "text")
        return text, not result.is_error


def _refusal_error(name: str, error: MCPError) -> PeerError:
    """Return the error for a refusal that leaves nothing unclear."""
    reason = _reason(error)
    outage: Outage = "unavailable" if reason in _NOT_NOW else ""
    if not no_effect(_problem(error)):
        outage = "no_answer"
    return PeerError(f"{name}: refused ({reason})", outage=outage)


def _problem(error: MCPError) -> dict[str, Any]:
    return error.error.data if isinstance(error.error.data, dict) else {}


def _reason(error: MCPError) -> str:
    return cut(str(_problem(error).get("reason", error.error.message)), LONGEST_REFUSAL)


_DESCRIPTION = ("name", "description", "inputSchema", "outputSchema", "annotations")
"""The members of a tool that a model reads, and that could manipulate it; and what an agent's loop goes by."""


def tool_digest(tool: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hex, of what is approved of a tool, from its entry in `tools/list` (MCP 2026-07-28)."""
    return hashlib.sha256(canonical({key: tool[key] for key in _DESCRIPTION if tool.get(key) is not None})).hexdigest()
