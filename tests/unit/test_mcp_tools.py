"""Which revision of MCP a request speaks: any other than ours is refused, with the one that it asked for."""

from typing import Any

import pytest

from zerotrust.decision import Denied, Reason
from zerotrust.tool.mcp_tools import ERA, McpTools

TOOLS = McpTools({"search": "tool.read", "read": "tool.read", "replace": "tool.write"})
PATH = "/mcp"


CALL = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {}}
HELLO = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}}


@pytest.mark.parametrize(
    ("versions", "message", "requested"),
    [
        pytest.param([b"2027-03-01"], CALL, "2027-03-01", id="a later one"),
        pytest.param([b"2025-11-25"], CALL, "2025-11-25", id="an older one"),
        pytest.param([b"2025-06-18"], HELLO, "2025-06-18", id="the header counts"),
        pytest.param([], HELLO, "2025-11-25", id="the handshake of an older one, which has no header"),
        pytest.param([], CALL, "", id="none"),
        pytest.param([], {"params": {"protocolVersion": 7}}, "", id="a number"),
        pytest.param([], {"params": []}, "", id="no params"),
        pytest.param([ERA, ERA], CALL, "", id="the right one twice"),
        pytest.param([ERA, b"2025-11-25"], HELLO, "", id="two"),
        pytest.param([ERA + b" "], CALL, "", id="with a space"),
        pytest.param([b"<b>2027</b>"], CALL, "", id="what nobody would call a revision is not echoed"),
        pytest.param([b"2" * 33], CALL, "", id="nor is what is too long"),
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
