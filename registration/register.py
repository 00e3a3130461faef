"""Derives the realm, and `registry.lock` with the approval of each party, from `registry.yaml` and the code.

To run `make register` and commit its output is to approve it; `make check` only compares, and names differences.
"""

import asyncio
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from mcp.server.mcpserver import MCPServer

from authorities.attestation.verifier.approval import approved_files
from authorities.attestation.verifier.measure import MeasureError, digest_of
from registration.approval import approval
from registration.fit import problems
from registration.realm import REALM_FILE, realm
from registration.realm import as_text as realm_text
from zerotrust.adapters.agent_card import agent_card, as_json
from zerotrust.adapters.digests import card_digest, tool_digest
from zerotrust.registry.lock import LOCK, REGISTRY, Approved, Lock, as_text, changed, entries, load_lock
from zerotrust.registry.model import Registry, RegistryError, load_registry

ROOT = Path(__file__).parents[1]


HOW = "Nothing is approved. What belongs where: docs/add-an-agent.md."
RUNNING = "A running party whose files changed is suspended: `make down`, `make up`, `zt party reinstate`."


def derive(registry: Registry, files: Mapping[str, str], tools: Mapping[str, Mapping[str, str]]) -> Lock:
    """Return the lock of this registry.  Pure.

    `files`: all files of all parties' code, path to SHA-256; `tools`: each tool server's tools, name to digest.
    """
    everything = Lock(files=dict(files), parties={})
    parties = {}
    for name, party in registry.parties.items():
        parties[name] = Approved(
            code=digest_of(everything.files_of(party.code)) if party.code else None,
            card=_card(registry, name) if "agent.invoke" in registry.scopes_at(name) else None,
            tools=dict(tools.get(name, {})),
        )
    return Lock(files=everything.files, parties=parties, registry=entries(registry))


def _card(registry: Registry, name: str) -> str:
    """Return the digest of an agent's card, with an address that is the same wherever the agent runs."""
    return card_digest(as_json(agent_card(name, registry.address(name), registry.scopes_at(name))))


def tool_servers(registry: Registry) -> list[str]:
    """Return the parties that offer tools."""
    return [name for name in registry.launched if any(s.startswith("tool.") for s in registry.scopes_at(name))]


async def listed(module: str) -> dict[str, str]:
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


def current(root: Path) -> tuple[Registry, Lock]:
    """Return the registry of a project and the lock that goes with it.

    Raises `RegistryError`, also if other files do not fit the registry; and `MeasureError` if a party's code cannot be
    read.
    """
    registry = load_registry(root / REGISTRY)
    files = approved_files(registry, root)
    if wrong := problems(root, registry):
        raise RegistryError("\n".join([*wrong, HOW]))
    tools = {
        name: asyncio.run(listed(registry.parties[name].code[0].replace("/", ".") + ".main"))
        for name in tool_servers(registry)
    }
    return registry, derive(registry, files, tools)


def differences(approved: Lock, found: Lock) -> list[str]:
    """Return a line for each difference from what was approved: files by path, entries of the registry by key,
    then what was approved of each party.  Pure."""
    lines = [f"{path}: {_what(path, approved.files, found.files)}" for path in changed(approved.files, found.files)]
    # If files differ, so does the code digest of each party that runs them; only the files are listed.
    facts = [*([] if lines else ["code"]), "card"]
    lines += [
        f"{REGISTRY}: {key} {_what(key, approved.registry, found.registry)}"
        for key in changed(approved.registry, found.registry)
    ]
    for name in sorted(approved.parties.keys() & found.parties.keys()):
        before, now = approved.parties[name], found.parties[name]
        lines += [f"{name}: {fact} changed" for fact in facts if getattr(before, fact) != getattr(now, fact)]
        lines += [
            f"{name}: tool {tool} {_what(tool, before.tools, now.tools)}" for tool in changed(before.tools, now.tools)
        ]
    return lines


def _what(name: str, before: Mapping[str, object], now: Mapping[str, object]) -> str:
    return "added" if name not in before else "missing" if name not in now else "changed"


def check(root: Path) -> str | None:
    """Return the differences, a line for each, or None."""
    try:
        registry, found = current(root)
        lock = root / LOCK
        wrong = differences(load_lock(lock), found)
    except (RegistryError, MeasureError) as error:
        return str(error)
    if not wrong and lock.read_text() != as_text(found):
        wrong = ["not in the form that `make register` writes"]
    lines = [f"{LOCK}: {line}" for line in wrong]
    file = root / REALM_FILE.relative_to(ROOT)
    if not file.exists() or file.read_text() != realm_text(realm(registry)):
        lines.append(f"{file.relative_to(root)}: does not match {REGISTRY}")
    return (
        "\n".join([*lines, "Not as approved: review each, then run `make register` and commit its output."])
        if lines
        else None
    )


def write(root: Path) -> str | None:
    """Write both files, and print what that approves.  Return an error message, or None."""
    try:
        registry, found = current(root)
    except (RegistryError, MeasureError) as error:
        return str(error)
    try:
        approved = load_lock(root / LOCK)
    except RegistryError:
        approved = Lock(files={}, parties={})
    lines = approval(registry, approved, found, root / REALM_FILE.relative_to(ROOT))
    texts = {LOCK: as_text(found), str(REALM_FILE.relative_to(ROOT)): realm_text(realm(registry))}
    changed_files = [n for n, text in texts.items() if not (root / n).exists() or (root / n).read_text() != text]
    for name, text in texts.items():
        (root / name).write_text(text)
    if lines:
        print("\n".join(["Approved:", *(f"  {line}" for line in lines)]))
    if changed_files:
        print(f"Commit {' and '.join(changed_files)}. {RUNNING}")
    else:
        print("Nothing to approve: nothing has changed since the last `make register`.")
    return None


if __name__ == "__main__":
    sys.exit(check(ROOT) if "--check" in sys.argv[1:] else write(ROOT))
