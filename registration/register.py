"""Derives `registry.lock`, with the approval of each party, from `registry.yaml` and the code.

To run `make register` and commit its output is to approve it; `make check` only shows what that would approve.
"""

import sys
from collections.abc import Collection, Iterable
from pathlib import Path

from authorities.attestation.verifier.measure import MeasureError
from registration.derive import as_text, load_current
from registration.derived import differing
from registration.run_lock import running_process
from zerotrust.authority.files.lock import LOCK, Lock, Rights, changes, files_within, load_lock
from zerotrust.authority.files.reading import RegistryError
from zerotrust.authority.visible import printable
from zerotrust.registry.model import Approved, Registry

ROOT = Path(__file__).parents[1]
SUSPENDED = "A running party whose files changed is suspended until you reinstate it."


def check(root: Path) -> str | None:
    """Return the differences, a line for each, or None."""
    try:
        registry, found = load_current(root)
        lock = root / LOCK
        wrong = approval_lines(registry, load_lock(lock), found)
    except (RegistryError, MeasureError) as error:
        return str(error)
    if lock.read_text() == as_text(found):
        others = [*differing(registry, root)]
        return f"Not as registry.yaml says, run `make register`: {', '.join(others)}" if others else None
    lines = wrong or ["It is not in the form that `make register` writes."]
    to_do = "Not as approved: review each, then run `make register` and commit its output."
    return "\n".join([f"{LOCK}:", *(f"  {line}" for line in lines), to_do])


def write(root: Path) -> str | None:
    """Write the lock, and print what that approves.  Return an error message, or None."""
    try:
        registry, found = load_current(root)
    except (RegistryError, MeasureError) as error:
        return str(error)
    try:
        approved = load_lock(root / LOCK)
    except RegistryError:
        approved = Lock(files={}, parties={})
    lines, lock, text = approval_lines(registry, approved, found), root / LOCK, as_text(found)
    differs = not lock.exists() or lock.read_text() != text
    try:
        for path, derived in differing(registry, root).items():
            (root / path).write_text(derived)
        lock.write_text(text)
    except OSError as error:  # for example in a container, whose user does not own this folder
        return str(error)
    process = running_process(root / "run")
    if process and approved.files != found.files:  # first, because it would be overlooked below a long list
        _say(f"The system runs, as process {process}.", SUSPENDED)
    if lines:
        _say("To approve:", *(f"  {line}" for line in lines))
    if differs:
        _say(*next_steps(runs=bool(process), code=approved.files != found.files))
    else:
        _say("Nothing to approve: nothing has changed since the last `make register`.")
    return None


def _say(*lines: str) -> None:
    """Print lines, of which each stays one line: the names in them are what others have chosen."""
    for line in lines:
        print(printable(line).replace("\n", r"\n"))  # control: approval-line-escaped


def next_steps(*, runs: bool, code: bool) -> list[str]:
    """Return what to do after an approval.  Pure."""
    steps = ["Review the list above.", f"Commit {LOCK}: that is the approval."]
    if not runs:
        steps += ["Start: make up, or docker compose up --build --wait"]
    elif code:
        steps += ["Restart: make down, then make up", "Reinstate each suspended party: zt party reinstate NAME"]
    else:
        steps += ["Make it known to the running system: zt reload"]
    return ["Next:", *(f"  {number}. {step}" for number, step in enumerate(steps, 1))]


def approval_lines(registry: Registry, approved: Lock, found: Lock) -> list[str]:
    """Return what there is to approve, line by line: `+` is new, `-` is gone, `~` has changed.  Pure.

    `approved`: what was before; `found`: what is now.
    """
    files = {path: _sign(path, approved.files, found.files) for path in changes(approved.files, found.files)}
    entries = {key: _sign(key, approved.registry, found.registry) for key in changes(approved.registry, found.registry)}
    lines = []
    for name in sorted(approved.parties.keys() | found.parties.keys()):
        gone, there = approved.parties.get(name, Approved()), found.parties.get(name, Approved())
        own = [registry.measured[name]] if name in registry.measured else []
        sign, now = entries.get(f"parties.{name}"), found.rights.get(name, Rights())
        runs = [f"runs {folder}, and what it imports" for folder in own]
        details = [
            *(runs if sign and gone.code != there.code else []),
            *_rights(approved.rights.get(name, Rights()), now),
            *(f"{files[path]} code {path}" for path in files_within(files, own)),
            *_imports(approved.runs.get(name, []), found.runs.get(name, []), own),
            *(f"{_sign(tool, gone.tools, there.tools)} tool {tool}" for tool in changes(gone.tools, there.tools)),
            *(["~ agent card"] if gone.card and there.card and gone.card != there.card else []),
        ]
        if details or sign:
            lines += [f"{sign or '~'} party {name}", *(f"    {line}" for line in details)]
    lines += [
        f"{sign} {'code' if sign == '-' else 'shared code'} {path}"
        for path, sign in files.items()
        if path not in files_within(files, registry.measured.values())
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


def _imports(before: Collection[str], now: Collection[str], own: list[str]) -> Iterable[str]:
    """Yield the files outside its folder that a known party newly runs, or no longer."""
    inside = tuple(f"{folder}/" for folder in own)
    for path in sorted({*before} ^ {*now}) if before and now else ():
        if not path.startswith(inside):
            yield f"{_sign(path, before, now)} imports {path}"


def _sign(name: str, before: Iterable[str], now: Iterable[str]) -> str:
    return "+" if name not in before else "-" if name not in now else "~"


if __name__ == "__main__":
    wrong = check(ROOT) if "--check" in sys.argv[1:] else write(ROOT)
    sys.exit(printable(wrong) if wrong else 0)
