"""What differs from what was approved, as `make check` says it.  Pure."""

from collections.abc import Mapping

from zerotrust.registry.lock import REGISTRY, Lock, changed


def differences(approved: Lock, found: Lock) -> list[str]:
    """Return a line for each difference from what was approved: files by path, entries of the registry by key,
    then what was approved of each party."""
    lines = [f"{path}: {_what(path, approved.files, found.files)}" for path in changed(approved.files, found.files)]
    # If files differ, so does the code digest of each party that runs them; only the files are listed.
    facts = {"code": "code", "card": "agent card"}
    if lines:
        del facts["code"]
    lines += [
        f"{REGISTRY}: {key} {_what(key, approved.registry, found.registry)}"
        for key in changed(approved.registry, found.registry)
    ]
    for name in sorted(approved.parties.keys() & found.parties.keys()):
        before, now = approved.parties[name], found.parties[name]
        lines += [
            f"{name}: {text} changed" for fact, text in facts.items() if getattr(before, fact) != getattr(now, fact)
        ]
        lines += [
            f"{name}: tool {tool} {_what(tool, before.tools, now.tools)}" for tool in changed(before.tools, now.tools)
        ]
    return lines


def _what(name: str, before: Mapping[str, object], now: Mapping[str, object]) -> str:
    return "added" if name not in before else "missing" if name not in now else "changed"
