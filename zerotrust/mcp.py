"""Which permission an MCP request needs (MCP 2026-07-28).  Pure: it reads the body, never the convenience headers.

The SDK's own authorisation stays off.  It serves older eras by the header alone and cannot be told not to, so a
request of any other era is refused here.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from zerotrust.decision import Denied, Reason
from zerotrust.jsonrpc import request_id

ERA = b"2026-07-28"
ADVICE = (
    f"This server speaks MCP {ERA.decode()} only: use a client that speaks that revision"
    ' (in the official SDKs, version 2 with the mode "auto" or the revision itself).'
)

_LISTINGS = frozenset({"server/discover", "tools/list"})
_REVISION = re.compile(r"[0-9A-Za-z.-]{1,32}")


@dataclass(frozen=True, slots=True)
class Need:
    """What one request needs: any one of `permissions`, for `operation`; where there are none, why."""

    permissions: tuple[str, ...]
    operation: str
    otherwise: Reason = Reason.NO_PERMISSION_FOR_ROUTE


@dataclass(frozen=True, slots=True)
class ToolPermissions:
    """The permission of each tool; a tool that is not in it does not exist."""

    tools: Mapping[str, str]

    @property
    def permissions(self) -> tuple[str, ...]:
        """Every permission that opens one of the tools, once."""
        return tuple(dict.fromkeys(self.tools.values()))

    def need(self, headers: Iterable[tuple[bytes, bytes]], message: Mapping[str, Any]) -> Need:
        """Return what this request needs; no permission at all (an empty tuple) means that nothing would help.

        Raises `Denied` for another era and for a message that is not one request.
        """
        versions = [value for name, value in headers if name == b"mcp-protocol-version"]
        if versions != [ERA]:
            told = {"supported": [ERA.decode()], "requested": _requested(versions, message)}
            raise Denied(Reason.LEGACY_ERA, advice=ADVICE, more=told)
        try:
            method = message["method"]
            if not isinstance(method, str) or request_id(message) is None:
                raise ValueError("a request has a method and an id")
            if method == "tools/call":
                tool = message["params"]["name"]
                permission = self.tools.get(tool)
                return Need((permission,) if permission else (), f"tools/call {tool}"[:100])
        except (ValueError, KeyError, TypeError) as error:
            raise Denied(Reason.MALFORMED_BODY, type(error).__name__) from error
        if method in _LISTINGS:
            return Need(self.permissions, method)
        return Need((), method[:100], Reason.UNKNOWN_METHOD)


def _requested(versions: list[bytes], message: Mapping[str, Any]) -> str:
    """The revision that a request is of: by its header, or of the old handshake by its body.  Else, or twice, ""."""
    params = message.get("params")
    in_body = params.get("protocolVersion") if isinstance(params, dict) else None
    found = versions[0].decode("latin-1") if len(versions) == 1 else in_body if not versions else None
    return found if isinstance(found, str) and _REVISION.fullmatch(found) else ""
