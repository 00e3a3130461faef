"""Which permission an MCP request needs: read from the body, and refused where that cannot be told."""

from typing import Any

import pytest

from zerotrust.adapters.mcp_tools import ERA, McpTools
from zerotrust.decision import Denied, Reason
from zerotrust.routes import Need

TOOLS = McpTools({"search": "tool.read", "read": "tool.read", "replace": "tool.write"})
PATH = "/mcp"
HEADERS = [(b"mcp-protocol-version", ERA)]


def body(method: str = "tools/call", **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}


def test_a_call_needs_the_permission_of_its_tool() -> None:
    assert TOOLS.need(PATH, HEADERS, body(name="read")) == Need(("tool.read",), "tools/call read")
    assert TOOLS.need(PATH, HEADERS, body(name="replace")).permissions == ("tool.write",)


@pytest.mark.parametrize("method", ["tools/list", "server/discover"])
def test_discovery_is_open_to_whoever_holds_any_tool_scope(method: str) -> None:
    assert TOOLS.need(PATH, HEADERS, body(method)).permissions == ("tool.read", "tool.write")


HELLO = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}}


@pytest.mark.parametrize(
    ("versions", "message", "requested"),
    [
        pytest.param([b"2027-03-01"], body(), "2027-03-01", id="a later one"),
        pytest.param([b"2025-11-25"], body(), "2025-11-25", id="an older one"),
        pytest.param([b"2025-06-18"], HELLO, "2025-06-18", id="the header counts"),
        pytest.param([], HELLO, "2025-11-25", id="the handshake of an older one, which has no header"),
        pytest.param([], body(), "", id="none"),
        pytest.param([], {"params": {"protocolVersion": 7}}, "", id="a number"),
        pytest.param([], {"params": []}, "", id="no params"),
        pytest.param([ERA, ERA], body(), "", id="the right one twice"),
        pytest.param([ERA, b"2025-11-25"], HELLO, "", id="two"),
        pytest.param([ERA + b" "], body(), "", id="with a space"),
        pytest.param([b"<b>2027</b>"], body(), "", id="what nobody would call a revision is not echoed"),
        pytest.param([b"2" * 33], body(), "", id="nor is what is too long"),
    ],
)
def test_another_era_is_refused_and_told_which_one_was_asked_for(
    versions: list[bytes], message: dict[str, Any], requested: str
) -> None:
    with pytest.raises(Denied) as refused:
        TOOLS.need(PATH, [(b"mcp-protocol-version", version) for version in versions], message)

    assert refused.value.reason is Reason.LEGACY_ERA
    assert (refused.value.more["supported"], refused.value.more["requested"]) == (["2026-07-28"], requested)
    assert "2026-07-28" in str(refused.value.advice)
