"""Whether the registry allows the calls in the parties' code, and the scopes of their routes."""

import ast
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from authorities.attestation.verifier.measure import MeasureError
from zerotrust.authority.files.lock import REGISTRY
from zerotrust.registry.model import Registry
from zerotrust.routes import Requirement, Scope
from zerotrust.tool.mcp_tools import McpTools

_CALLERS = {"exchange": 0, "ToolClient": 1, "ModelClient": 1, "ask_agent": 1}
"""The functions that call another party, each with the position of the argument that names it."""


def call_problems(tree: ast.Module, registry: Registry, name: str) -> Iterator[str]:
    """Yield the calls in a module of this party that the registry does not allow, each with its line."""
    for line, callee, scopes in _calls(tree):
        yield from (f"{line}: {problem}" for problem in _problems(registry, name, callee, scopes))


def _problems(registry: Registry, name: str, callee: str, scopes: list[str]) -> Iterator[str]:
    party = registry.parties[name]
    if callee not in registry.parties | registry.outside:
        yield f"it calls {callee!r}, which is not registered: add it under `parties` in {REGISTRY}"
        return
    if callee not in party.may_call:
        yield f"it calls {callee!r}, which it may not call: add it to parties.{name}.may_call in {REGISTRY}"
    for scope in scopes:
        if scope not in registry.scopes:
            yield f"it asks for {scope!r}, which is not a scope: add it under `scopes` in {REGISTRY}"
        elif scope not in party.delegates:
            yield f"it asks for {scope!r}, which it may not delegate: add it to parties.{name}.delegates in {REGISTRY}"


def _calls(tree: ast.Module) -> Iterator[tuple[int, str, list[str]]]:
    """Yield line, callee and scopes of each call to another party, if they are literals or names of literals."""
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    def text(argument: ast.expr) -> str | None:
        value = argument.value if isinstance(argument, ast.Constant) else None
        value = constants.get(argument.id) if isinstance(argument, ast.Name) else value
        return value if isinstance(value, str) else None

    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            position = _CALLERS.get(called, len(node.args))
            if position < len(node.args) and (callee := text(node.args[position])):
                scopes = [scope for argument in node.args[1:] if (scope := text(argument))]
                yield node.lineno, callee, scopes if called == "exchange" else []


def code_problems(root: Path, registry: Registry) -> list[str]:
    """Return the calls, and the scopes of routes, in parties' code that the registry does not allow.

    A party or scope that the code computes is refused when it is called.  Raises `MeasureError`.
    """
    found = []
    for name, folder in registry.measured.items():
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
            needed |= {*requirement.permissions}
        elif isinstance(requirement, McpTools):
            needed |= set(requirement.permissions)
    served = set(registry.scopes_at(name))
    for scope in sorted(needed - served):
        yield f"{path}: a route needs {scope!r}: add {name} to `served_by` of that scope in {REGISTRY}"
    for scope in sorted(served - needed if routes else ()):
        yield f"{REGISTRY}: scopes.{scope}.served_by: {name} has no route or tool that needs it: add one in {folder}"
