"""Whether the registry allows the calls in the parties' code, and the scopes of their routes."""

import ast
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from authorities.attestation.verifier.measure import MeasureError
from registration.fit.calls import call_problems
from zerotrust.adapters.mcp_tools import McpTools
from zerotrust.registry.lock import REGISTRY
from zerotrust.registry.model import Registry
from zerotrust.routes import Requirement, Scope


def of_code(root: Path, registry: Registry) -> list[str]:
    """Return the calls, and the scopes of routes, in parties' code that the registry does not allow.

    A party or scope that the code computes is refused when it is called.  Raises `MeasureError`.
    """
    found = []
    for name in registry.launched:
        folder = registry.parties[name].code[0]
        for file in sorted((root / folder).rglob("*.py")):
            path = str(file.relative_to(root))
            try:
                tree = ast.parse(file.read_bytes())
            except (OSError, SyntaxError, ValueError) as error:
                raise MeasureError(f"{path}: {error}") from error
            found += [f"{path}:{problem}" for problem in call_problems(tree, registry, name)]
        found += _route_problems(folder, registry, name)
    return found


def _route_problems(folder: str, registry: Registry, name: str) -> Iterator[str]:
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
