"""Finds the permission that an MCP request needs (MCP 2026-07-28).  Pure: it reads the body, no convenience headers.

The SDK's own authorization is not used.  The SDK chooses the era by the header and cannot be limited to one, so a
request of any other era is refused here.
"""

import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from zerotrust.decision import Denied, Reason
from zerotrust.routes import MAX_MESSAGE, Need, Requirement
from zerotrust.transport.jsonrpc import request_id

ERA = b"2026-07-28"
ADVICE = (
    f"This server speaks MCP {ERA.decode()} only: use a client that speaks that revision"
    ' (in the official SDKs, version 2 with the mode "auto" or the revision itself).'
)

_LISTINGS = frozenset({"server/discover", "tools/list"})
_REVISION = re.compile(r"[0-9A-Za-z.-]{1,32}")


@dataclass(frozen=True, slots=True)
class McpTools(Requirement):
    """Requires a user's token with the scope of the called tool; any other tool does not exist."""

    tools: Mapping[str, str]
    """Name to scope."""
    max_body: int = field(default=MAX_MESSAGE, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tools", MappingProxyType(dict(self.tools)))

    @property
    def permissions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.tools.values()))

    def need_before_body(self, path: str, scopes: AbstractSet[str]) -> Need | None:
        """Return None for a token with the scope of a tool; without such a scope, the body cannot matter."""
        return Need(self.permissions, path) if scopes.isdisjoint(self.permissions) else None

    def need(self, path: str, headers: Iterable[tuple[bytes, bytes]], body: Mapping[str, Any]) -> Need:  # noqa: ARG002
        """Return what this message needs; with an empty tuple of permissions, none would be enough.

        Raises `Denied` for another era and for a message that is not one request.
        """
        versions = [value for name, value in headers if name == b"mcp-protocol-version"]
        if versions != [ERA]:  # control: mcp-era
            more = {"supported": [ERA.decode()], "requested": _requested_revision(versions, body)}
            raise Denied(Reason.LEGACY_ERA, advice=ADVICE, more=more)
        try:
            method = body["method"]
            if not isinstance(method, str) or request_id(body) is None:  # control: mcp-request-id
                raise ValueError("a request has a method and an id")
            if method == "tools/call":
                tool = body["params"]["name"]  # control: tool-named-in-body
                permission = self.tools.get(tool)  # control: tool-known
                return Need((permission,) if permission else (), f"tools/call {tool}"[:100])
        except (ValueError, KeyError, TypeError) as error:
            raise Denied(Reason.MALFORMED_BODY, type(error).__name__) from error
        if method in _LISTINGS:
            return Need(self.permissions, method)
        return Need((), method[:100], Reason.UNKNOWN_METHOD)  # control: mcp-method-known


def _requested_revision(versions: list[bytes], message: Mapping[str, Any]) -> str:
    """Return the revision of a request: from its header, or from the body of the old handshake; else ""."""
    params = message.get("params")
    in_body = params.get("protocolVersion") if isinstance(params, dict) else None
    found = versions[0].decode("latin-1") if len(versions) == 1 else in_body if not versions else None
    return found if isinstance(found, str) and _REVISION.fullmatch(found) else ""
