"""Which permission an MCP request needs (MCP 2026-07-28).  Pure: it reads the body, never the convenience headers.

The SDK's own authorisation stays off.  It serves older eras by the header alone and cannot be told not to, so a
request of any other era is refused here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from zerotrust.errors import Refusal
from zerotrust.policy import Reason

ERA = b"2026-07-28"
LONGEST_ID = 100
"""Characters of a request's id, which is echoed."""

_LISTINGS = frozenset({"server/discover", "tools/list"})


@dataclass(frozen=True, slots=True)
class Need:
    """What one request needs: any one of `permissions`, for `operation`; `request_id` is to be echoed."""

    permissions: tuple[str, ...]
    operation: str
    request_id: str | int | None


@dataclass(frozen=True, slots=True)
class ToolPermissions:
    """The permission of each tool; a tool that is not in it does not exist."""

    tools: Mapping[str, str]

    def need(self, headers: Iterable[tuple[bytes, bytes]], message: Mapping[str, Any]) -> Need:
        """Return what this request needs; no permission at all (an empty tuple) means that nothing would help.

        Raises `Refusal` for another era and for a message that is not one request.
        """
        if [value for name, value in headers if name == b"mcp-protocol-version"] != [ERA]:
            raise Refusal(Reason.LEGACY_ERA)
        try:
            method, request_id = message["method"], message["id"]
            if not isinstance(method, str) or type(request_id) not in (str, int) or len(str(request_id)) > LONGEST_ID:
                raise ValueError("a request has a method and an id")
            if method == "tools/call":
                tool = message["params"]["name"]
                permission = self.tools.get(tool)
                return Need((permission,) if permission else (), f"tools/call {tool}"[:100], request_id)
        except (ValueError, KeyError, TypeError) as error:
            raise Refusal(Reason.MALFORMED_BODY, type(error).__name__) from error
        held_by_any = tuple(dict.fromkeys(self.tools.values())) if method in _LISTINGS else ()
        return Need(held_by_any, method[:100], request_id)


def error_body(request_id: str | int | None, problem: dict[str, Any]) -> dict[str, Any]:
    """A refusal as JSON-RPC, which the SDK's clients understand; anything else they report as an internal error."""
    return {
        "jsonrpc": "2.0",
        "id": request_id,
        "error": {"code": -32001, "message": problem["error"], "data": problem},
    }
