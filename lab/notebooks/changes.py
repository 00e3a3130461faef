"""What changes in a copy of the project, as text: lines of a file, and a realm.  Pure."""

import difflib
from typing import Any


def changed_lines(before: list[str], now: list[str]) -> list[str]:
    """Return the lines that are not in both texts, each with its sign, in order."""
    found = difflib.unified_diff(before, now, n=0, lineterm="")
    return [line for line in list(found)[2:] if not line.startswith("@@")]


def realm_lines(realm: dict[str, Any]) -> list[str]:
    """Return a realm's scopes, and its clients that get tokens for a party, a line each."""
    lines = [f"scope {scope['name']}" for scope in realm["clientScopes"]]
    for client in realm["clients"]:
        always, asked = (client.get(f"{kind}ClientScopes", []) for kind in ("default", "optional"))
        if audiences := [name.removeprefix("aud:") for name in always if name.startswith("aud:")]:
            lines.append(f"client {client['clientId']}: for {', '.join(audiences)}; scopes {', '.join(asked)}")
    return lines
