"""The calls of other parties that stand in a module's code, and what the registry says to them.  Pure."""

import ast
from collections.abc import Iterator

from zerotrust.registry.lock import REGISTRY
from zerotrust.registry.model import Registry

_CALLERS = {"exchange": 0, "ToolClient": 1, "ModelClient": 1, "ask_agent": 1}
"""What calls another party, and the position of the argument that names it."""


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
        yield f"it calls {callee!r}, and may not: add that to parties.{name}.may_call in {REGISTRY}"
    for scope in scopes:
        if scope not in registry.scopes:
            yield f"it asks for {scope!r}, which is no scope: add it under `scopes` in {REGISTRY}"
        elif scope not in party.delegates:
            yield f"it asks for {scope!r}, and may not: add that to parties.{name}.delegates in {REGISTRY}"


def _calls(tree: ast.Module) -> Iterator[tuple[int, str, list[str]]]:
    """Yield line, callee and scopes of each call to another party, as far as they are literals or names of such."""
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
