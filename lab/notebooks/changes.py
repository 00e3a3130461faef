"""What changes in a copy of the project, as text: lines of a file, a realm, a function.  Pure."""

import ast
import difflib
import json
import textwrap
from typing import Any


def changed_lines(before: list[str], now: list[str]) -> list[str]:
    """Return the lines that are not in both texts, each with its sign, in order."""
    found = difflib.unified_diff(before, now, n=0, lineterm="")
    return [line for line in list(found)[2:] if not line.startswith("@@")]


def realm_lines(realm: str) -> list[str]:
    """Return a realm's scopes, and its clients that get tokens for a party, a line each."""
    found: dict[str, Any] = json.loads(realm)
    lines = [f"scope {scope['name']}" for scope in found["clientScopes"]]
    for client in found["clients"]:
        always, asked = (client.get(f"{kind}ClientScopes", []) for kind in ("default", "optional"))
        if audiences := [name.removeprefix("aud:") for name in always if name.startswith("aud:")]:
            lines.append(f"client {client['clientId']}: for {', '.join(audiences)}; scopes {', '.join(asked)}")
    return lines


def with_function(text: str, name: str, source: str) -> str:
    """Return a module's text with another source for its one function of a name, wherever that is.

    Raises `ValueError` if there is not one.
    """
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, functions) and node.name == name]
    if len(found) != 1 or not found[0].end_lineno:
        raise ValueError(f"{len(found)} functions have the name {name}")
    lines, [node] = text.splitlines(keepends=True), found
    written = textwrap.indent(textwrap.dedent(source).rstrip(), " " * node.col_offset) + "\n"
    return "".join([*lines[: node.lineno - 1], written, *lines[found[0].end_lineno :]])
