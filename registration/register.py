"""Derives the realm, and `registry.lock` with the approval of each party, from `registry.yaml` and the code.

To run `make register` and commit its output is to approve it; `make check` only compares, and names differences.
"""

import sys
from pathlib import Path

from authorities.attestation.verifier.measure import MeasureError
from local.alone import process_running
from registration.approval import approval
from registration.derive import current
from registration.differences import differences
from registration.realm import REALM_FILE, realm
from registration.realm import as_text as realm_text
from zerotrust.registry.lock import LOCK, REGISTRY, Lock, as_text, load_lock
from zerotrust.registry.reading import RegistryError

ROOT = Path(__file__).parents[1]
SUSPENDED = "A running party whose files changed is suspended until you reinstate it."


def check(root: Path) -> str | None:
    """Return the differences, a line for each, or None."""
    try:
        registry, found = current(root)
        lock = root / LOCK
        wrong = differences(load_lock(lock), found)
    except (RegistryError, MeasureError) as error:
        return str(error)
    if not wrong and lock.read_text() != as_text(found):
        wrong = ["not in the form that `make register` writes"]
    lines = [f"{LOCK}: {line}" for line in wrong]
    file = root / REALM_FILE.relative_to(ROOT)
    if not file.exists() or file.read_text() != realm_text(realm(registry)):
        lines.append(f"{file.relative_to(root)}: does not match {REGISTRY}")
    return (
        "\n".join([*lines, "Not as approved: review each, then run `make register` and commit its output."])
        if lines
        else None
    )


def write(root: Path) -> str | None:
    """Write both files, and print what that approves.  Return an error message, or None."""
    try:
        registry, found = current(root)
    except (RegistryError, MeasureError) as error:
        return str(error)
    try:
        approved = load_lock(root / LOCK)
    except RegistryError:
        approved = Lock(files={}, parties={})
    lines = approval(registry, approved, found, root / REALM_FILE.relative_to(ROOT))
    texts = {LOCK: as_text(found), str(REALM_FILE.relative_to(ROOT)): realm_text(realm(registry))}
    changed_files = [n for n, text in texts.items() if not (root / n).exists() or (root / n).read_text() != text]
    try:
        for name, text in texts.items():
            (root / name).write_text(text)
    except OSError as error:  # as in a container, as another user than the one whose folder this is
        return str(error)
    process = process_running(root / "run")
    if process and approved.files != found.files:  # first, for below a long list nobody reads it
        print(f"The system runs, as process {process}.\n{SUSPENDED}")
    if lines:
        print("\n".join(["Approved:", *(f"  {line}" for line in lines)]))
    if changed_files:
        print("\n".join(next_steps(changed_files, runs=bool(process), code=approved.files != found.files)))
    else:
        print("Nothing to approve: nothing has changed since the last `make register`.")
    return None


def next_steps(changed_files: list[str], *, runs: bool, code: bool) -> list[str]:
    """Return what to do after an approval.  Pure."""
    steps = ["Review the list above.", f"Commit {' and '.join(changed_files)}: that is the approval."]
    if not runs:
        steps += ["Start: make up, or docker compose up --build --wait"]
    elif code:
        steps += ["Restart: make down, then make up", "Reinstate each suspended party: zt party reinstate NAME"]
    else:
        steps += ["Make it known to the running system: zt reload"]
    return ["Next:", *(f"  {number}. {step}" for number, step in enumerate(steps, 1))]


if __name__ == "__main__":
    sys.exit(check(ROOT) if "--check" in sys.argv[1:] else write(ROOT))
