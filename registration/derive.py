"""Derives the lock from `registry.yaml` and the code: what is approved of each party."""

import asyncio
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import orjson
from mcp.server.mcpserver import MCPServer

from registration.approval import approve_all
from registration.fit import problems
from registration.names import POLICIES
from zerotrust.adapters.agent_card import agent_card, as_json, card_digest
from zerotrust.agent.tool_client import tool_digest
from zerotrust.authority.files.lock import REGISTRY, Lock, Rights, entries
from zerotrust.authority.files.reading import RegistryError
from zerotrust.authority.files.snapshot_files import load_registry
from zerotrust.registry.model import Approved, Registry

HOW = "Nothing is approved. The place of each: docs/how-to/{}.md."


def derive(registry: Registry, code: Lock, tools: Mapping[str, Mapping[str, str]]) -> Lock:
    """Return the lock of this registry.  Pure.

    `code`: the approval of each party's code; `tools`: each tool server's tools, name to digest.
    """
    parties = {}
    for name in registry.parties:
        parties[name] = Approved(
            code=code.parties.get(name, Approved()).code,
            card=_card_digest(registry, name) if "agent.invoke" in registry.scopes_at(name) else None,
            tools=dict(tools.get(name, {})),
        )
    rights = {
        name: Rights(may_call=sorted(party.may_call), delegates=sorted(party.delegates))
        for name, party in registry.parties.items()
        if party.may_call or party.delegates
    }
    return code.model_copy(update={"parties": parties, "registry": entries(registry), "rights": rights})


def _card_digest(registry: Registry, name: str) -> str:
    """Return the digest of an agent's card, with an address that is the same wherever the agent runs."""
    return card_digest(as_json(agent_card(name, registry.address(name), registry.scopes_at(name))))


def tool_servers(registry: Registry) -> list[str]:
    """Return the parties that offer tools."""
    return [name for name in registry.launched if any(s.startswith("tool.") for s in registry.scopes_at(name))]


async def tool_digests(module: str) -> dict[str, str]:
    """Return the digests of the tools that a tool server's module declares, by their names."""
    server: MCPServer[None] = MCPServer("registration")
    unused = cast("Any", None)  # the tools are only listed here, not run
    try:
        import_module(module).declare(server, unused, unused)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise RegistryError(f"{module.replace('.', '/')}.py: its tools cannot be listed ({why})") from error
    tools = [tool.model_dump(mode="json", by_alias=True) for tool in await server.list_tools()]
    return {tool["name"]: tool_digest(tool) for tool in tools}


def load_current(root: Path) -> tuple[Registry, Lock]:
    """Return the registry of a project and the lock that goes with it.

    Raises `RegistryError`, also if other files do not fit the registry; and `MeasureError` if a party's code cannot be
    read.
    """
    registry = load_registry(root / REGISTRY)
    code = approve_all(registry, root)
    if wrong := problems(root, registry):
        page = "change-a-rule" if all(line.startswith(POLICIES) for line in wrong) else "add-an-agent"
        raise RegistryError("\n".join([*wrong, HOW.format(page)]))
    tools = {
        name: asyncio.run(tool_digests(f"{registry.measured[name]}.main".replace("/", ".")))
        for name in tool_servers(registry)
    }
    return registry, derive(registry, code, tools)


def as_text(lock: Lock) -> str:
    """Return the lock in the form of the committed file."""
    plain = lock.model_dump(exclude_defaults=True)
    return orjson.dumps(plain, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() + "\n"
