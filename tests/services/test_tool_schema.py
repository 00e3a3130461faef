"""The schema of the policies names every call of the documents tool, with all its parameters.

What a tool takes is derived from its declaration by Cedar's own generator for MCP
(github.com/cedar-policy/cedar-for-agents).  So a tool that grows a parameter is not decided about by policies that do
not know of it.
"""

import json
import re
from collections.abc import Callable
from typing import Any, cast

import cedarpy
from cedar_mcp_schema_generator import generate_schema_or_raise
from mcp.server.mcpserver import MCPServer

from tests.support.clients import use
from tests.support.system import POLICIES, System
from tools.documents.tools import TOOLS, declare
from zerotrust.authority.files.snapshot_files import SCHEMA

Token = Callable[..., str]
STUB = """
namespace Tools {
  @mcp_principal("Party") entity Party;
  @mcp_resource("Server") entity Server;
}
"""


async def declared() -> list[dict[str, Any]]:
    """The tools, as `tools/list` has them and as they are approved."""
    server, unused = MCPServer[Any]("documents"), cast("Any", None)  # the tools are only listed here, not run
    declare(server, unused, unused)
    return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in await server.list_tools()]


def generated(tools: list[dict[str, Any]]) -> list[str]:
    """Each tool with its parameters, as the generator derives them."""
    found = json.loads(generate_schema_or_raise(STUB, tools)["schemaJson"])["Tools"]
    calls = []
    for name, action in found["actions"].items():
        taken = found["commonTypes"][action["appliesTo"]["context"]["attributes"]["input"]["type"]]["attributes"]
        given = [f"{key}{'' if one.get('required', True) else '?'}: {one['name']}" for key, one in taken.items()]
        calls.append(f"{name}({', '.join(sorted(given))})")
    return sorted(calls)


def named() -> dict[str, str]:
    """Each call that the schema of the policies names, and the action that it asks for."""
    text = str(cedarpy.Schema.from_str((POLICIES / SCHEMA).read_text()))
    said = re.findall(r'@tools\("([^"]*)"\)\naction "([^"]*)"', text)
    return {call: action for calls, action in said for call in re.findall(r"\w+\([^)]*\)", calls)}


async def test_the_schema_names_the_approved_tools_with_all_their_parameters() -> None:
    tools = await declared()

    assert sorted(named()) == generated(tools)
    assert {tool["name"] for tool in tools} == TOOLS.keys()


async def test_each_tool_asks_for_the_action_that_the_schema_says(
    system: System, reading: Token, writing: Token
) -> None:
    filed = await use(system, writing(), "create", title="A", text="B")
    assert filed.structured_content is not None
    given = {"id": filed.structured_content["id"], "text": "C"}
    for tool in ("read", "replace", "delete"):
        token = reading() if tool == "read" else writing()
        await use(
            system, token, tool, **{key: given[key] for key in ("id", "text") if key == "id" or tool == "replace"}
        )

    decided = [r["operation"] for r in system.records("tool/documents") if r["event"] == "access" and r["allowed"]]
    actions = {call.partition("(")[0]: action for call, action in named().items()}
    assert decided == [actions[tool] for tool in ("create", "read", "replace", "delete")]
