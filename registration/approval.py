"""What `make register` approves, as a diff for the person who runs it: `+` is new, `-` is gone, `~` has changed."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from zerotrust.registry.lock import Approved, Lock, changed, within
from zerotrust.registry.model import Registry


class Rights(NamedTuple):
    """What a party may do."""

    may_call: frozenset[str] = frozenset()
    delegates: frozenset[str] = frozenset()


def approval(registry: Registry, approved: Lock, found: Lock, realm: Path) -> list[str]:
    """Return the lines of the diff.  `realm` is the realm that was derived at the last approval: it has the rights."""
    before = rights_in(realm, registry) if approved.parties else {}
    files = {path: _sign(path, approved.files, found.files) for path in changed(approved.files, found.files)}
    entries = {key: _sign(key, approved.registry, found.registry) for key in changed(approved.registry, found.registry)}
    lines = []
    for name in sorted(approved.parties.keys() | found.parties.keys()):
        gone, there = approved.parties.get(name, Approved()), found.parties.get(name, Approved())
        own = registry.parties[name].code[:1] if name in registry.parties else []
        sign, now = entries.get(f"parties.{name}"), _now(registry, name)
        details = [
            *_rights(before.get(name, Rights() if sign == "+" else now), now),
            *(f"{files[path]} code {path}" for path in within(files, own)),
            *(f"{_sign(tool, gone.tools, there.tools)} tool {tool}" for tool in changed(gone.tools, there.tools)),
            *(["~ agent card"] if gone.card and there.card and gone.card != there.card else []),
        ]
        if details or sign:
            lines += [f"{sign or '~'} party {name}", *(f"    {line}" for line in details)]
    own_code = [folder for party in registry.parties.values() for folder in party.code[:1]]
    lines += [
        f"{sign} {'code' if sign == '-' else 'shared code'} {path}"
        for path, sign in files.items()
        if path not in within(files, own_code)
    ]
    for key, sign in entries.items():
        section, _, name = key.partition(".")
        if section == "scopes":
            served = f", served by {', '.join(registry.scopes[name].served_by)}" if name in registry.scopes else ""
            lines.append(f"{sign} scope {name}{served}")
        elif section != "parties":
            lines.append(f"{sign} {key}")
    return lines


def rights_in(realm: Path, registry: Registry) -> dict[str, Rights]:
    """Return the rights of each party in a derived realm, or nothing if it cannot be read."""
    try:
        clients = {client["clientId"]: client for client in json.loads(realm.read_text())["clients"]}
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    found = {}
    for name in registry.parties:
        client = clients.get(registry.id(name), {})
        calls = (scope.removeprefix("aud:") for scope in client.get("defaultClientScopes", []) if ":" in scope)
        found[name] = Rights(frozenset(calls), frozenset(client.get("optionalClientScopes", [])))
    return found


def _now(registry: Registry, name: str) -> Rights:
    party = registry.parties.get(name)
    return Rights(frozenset(party.may_call), frozenset(party.delegates)) if party else Rights()


def _rights(before: Rights, now: Rights) -> Iterable[str]:
    for what, old, new in ("may call", before.may_call, now.may_call), ("delegates", before.delegates, now.delegates):
        for sign, names in ("+", new - old), ("-", old - new):
            if names:
                yield f"{sign} {what} {', '.join(sorted(names))}"


def _sign(name: str, before: Iterable[str], now: Iterable[str]) -> str:
    return "+" if name not in before else "-" if name not in now else "~"
