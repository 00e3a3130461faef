"""What there is to approve, for the person who does: `+` is new, `-` is gone, `~` has changed.  Pure."""

from collections.abc import Iterable

from zerotrust.registry.lock import Approved, Lock, Rights, changed, within
from zerotrust.registry.model import Registry


def approval(registry: Registry, approved: Lock, found: Lock) -> list[str]:
    """Return the lines of the diff: what is `found` now, and what was `approved` before."""
    files = {path: _sign(path, approved.files, found.files) for path in changed(approved.files, found.files)}
    entries = {key: _sign(key, approved.registry, found.registry) for key in changed(approved.registry, found.registry)}
    lines = []
    for name in sorted(approved.parties.keys() | found.parties.keys()):
        gone, there = approved.parties.get(name, Approved()), found.parties.get(name, Approved())
        own = registry.parties[name].code[:1] if name in registry.parties else []
        sign, now = entries.get(f"parties.{name}"), found.rights.get(name, Rights())
        details = [
            *_rights(approved.rights.get(name, Rights() if sign == "+" or approved.rights else now), now),
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


def _rights(before: Rights, now: Rights) -> Iterable[str]:
    for what, old, new in ("may call", before.may_call, now.may_call), ("delegates", before.delegates, now.delegates):
        for sign, names in ("+", {*new} - {*old}), ("-", {*old} - {*new}):
            if names:
                yield f"{sign} {what} {', '.join(sorted(names))}"


def _sign(name: str, before: Iterable[str], now: Iterable[str]) -> str:
    return "+" if name not in before else "-" if name not in now else "~"
