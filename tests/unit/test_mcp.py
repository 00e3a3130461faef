"""Which permission an MCP request needs: read from the body, and refused where that cannot be told."""

from typing import Any

import pytest

from zerotrust.errors import Refusal
from zerotrust.mcp import ERA, Need, ToolPermissions, error_body
from zerotrust.policy import Reason

TOOLS = ToolPermissions({"search": "tool.read", "read": "tool.read", "replace": "tool.write"})
HEADERS = [(b"mcp-protocol-version", ERA)]


def body(method: str = "tools/call", **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}


def test_a_call_needs_the_permission_of_its_tool() -> None:
    assert TOOLS.need(HEADERS, body(name="read")) == Need(("tool.read",), "tools/call read", 7)
    assert TOOLS.need(HEADERS, body(name="replace")).permissions == ("tool.write",)


def test_the_convenience_headers_decide_nothing() -> None:
    smuggled = [*HEADERS, (b"mcp-name", b"read"), (b"mcp-method", b"tools/list")]

    assert TOOLS.need(smuggled, body(name="replace")).permissions == ("tool.write",)


@pytest.mark.parametrize("name", ["erase", "READ", "read ", "", "re\u0430d", "__class__"])
def test_a_tool_that_is_not_in_the_table_needs_what_nobody_has(name: str) -> None:
    assert TOOLS.need(HEADERS, body(name=name)).permissions == ()


@pytest.mark.parametrize("method", ["tools/list", "server/discover"])
def test_discovery_is_open_to_whoever_holds_any_tool_scope(method: str) -> None:
    assert TOOLS.need(HEADERS, body(method)).permissions == ("tool.read", "tool.write")


@pytest.mark.parametrize("method", ["initialize", "resources/read", "prompts/get", "TOOLS/CALL", "tools/call ", "ping"])
def test_any_other_method_needs_what_nobody_has(method: str) -> None:
    assert TOOLS.need(HEADERS, body(method, name="read")).permissions == ()


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"mcp-protocol-version", b"2025-11-25")],
        [(b"mcp-protocol-version", b"2026-07-28 ")],
        [*HEADERS, *HEADERS],
        [*HEADERS, (b"mcp-protocol-version", b"2025-11-25")],
    ],
)
def test_another_era_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(Refusal) as refused:
        TOOLS.need(headers, body(name="read"))

    assert refused.value.reason is Reason.LEGACY_ERA


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"jsonrpc": "2.0", "id": None, "method": "tools/list"},
        {"jsonrpc": "2.0", "id": True, "method": "tools/list"},
        {"jsonrpc": "2.0", "id": 1.5, "method": "tools/list"},
        {"jsonrpc": "2.0", "id": "1" * 101, "method": "tools/list"},
        {"jsonrpc": "2.0", "id": 10**100, "method": "tools/list"},
        {"jsonrpc": "2.0", "method": "tools/list"},
        {"jsonrpc": "2.0", "id": 1, "method": 7},
        {"jsonrpc": "2.0", "id": 1, "result": {}},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call"},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": ["read"]},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": {}}},
    ],
)
def test_what_is_not_one_request_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refused:
        TOOLS.need(HEADERS, message)

    assert refused.value.reason is Reason.MALFORMED_BODY


def test_a_refusal_echoes_the_id_and_nothing_else() -> None:
    problem = {"error": "insufficient_scope", "reason": "scope_missing", "scope": "tool.write"}

    assert error_body(7, problem) == {
        "jsonrpc": "2.0",
        "id": 7,
        "error": {"code": -32001, "message": "insufficient_scope", "data": problem},
    }
