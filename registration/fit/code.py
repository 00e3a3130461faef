"""Whether the registry says who serves the scopes of the routes in the parties' code."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from zerotrust.adapters.mcp_tools import McpTools
from zerotrust.registry.lock import REGISTRY
from zerotrust.registry.model import Registry
from zerotrust.routes import Requirement, Scope


def of_code(registry: Registry) -> list[str]:
    """Return the scopes of routes in parties' code that the registry does not allow, and those that no route needs.

    A call that the registry does not allow is refused when it is made.
    """
    return [found for name in registry.launched for found in _problems(registry.parties[name].code[0], registry, name)]


def _problems(folder: str, registry: Registry, name: str) -> Iterator[str]:
    path = f"{folder}/main.py"
    try:
        routes: Mapping[Any, Requirement] = getattr(import_module(path[:-3].replace("/", ".")), "ROUTES", {})
    except Exception as error:  # noqa: BLE001 - whatever a module that is being written raises
        yield f"{path}: cannot be imported ({type(error).__name__}: {error})"
        return
    needed: set[str] = set()
    for requirement in routes.values():
        if isinstance(requirement, Scope):
            needed.add(requirement.name)
        elif isinstance(requirement, McpTools):
            needed |= set(requirement.permissions)
    served = set(registry.scopes_at(name))
    for scope in sorted(needed - served):
        yield f"{path}: a route needs {scope!r}: add {name} to `served_by` of that scope in {REGISTRY}"
    for scope in sorted(served - needed if routes else ()):
        yield f"{REGISTRY}: scopes.{scope}.served_by: {name} has no route or tool that needs it: add one in {folder}"
