"""Derives `registry.lock`, with the approval of each party, from `registry.yaml` and the code.

To run `make register` and commit its output is to approve it; `make check` only shows what that would approve.
"""

import sys
from pathlib import Path

from authorities.attestation.verifier.measure import MeasureError
from local.alone import process_running
from registration.approval import approval
from registration.derive import current
from zerotrust.registry.lock import LOCK, Lock, as_text, load_lock
from zerotrust.registry.reading import RegistryError

ROOT = Path(__file__).parents[1]
SUSPENDED = "A running party whose files changed is suspended until you reinstate it."


def check(root: Path) -> str | None:
    """Return the differences, a line for each, or None."""
    try:
        registry, found = current(root)
        lock = root / LOCK
        wrong = approval(registry, load_lock(lock), found)
    except (RegistryError, MeasureError) as error:
        return str(error)
    if lock.read_text() == as_text(found):
        return None
    lines = wrong or ["It is not in the form that `make register` writes."]
    to_do = "Not as approved: review each, then run `make register` and commit its output."
    return "\n".join([f"{LOCK}:", *(f"  {line}" for line in lines), to_do])


def write(root: Path) -> str | None:
    """Write the lock, and print what that approves.  Return an error message, or None."""
    try:
        registry, found = current(root)
    except (RegistryError, MeasureError) as error:
        return str(error)
    try:
        approved = load_lock(root / LOCK)
    except RegistryError:
        approved = Lock(files={}, parties={})
    lines, lock, text = approval(registry, approved, found), root / LOCK, as_text(found)
    changed = not lock.exists() or lock.read_text() != text
    try:
        lock.write_text(text)
    except OSError as error:  # as in a container, as another user than the one whose folder this is
        return str(error)
    process = process_running(root / "run")
    if process and approved.files != found.files:  # first, for below a long list nobody reads it
        print(f"The system runs, as process {process}.\n{SUSPENDED}")
    if lines:
        print("\n".join(["Approved:", *(f"  {line}" for line in lines)]))
    if changed:
        print("\n".join(next_steps(runs=bool(process), code=approved.files != found.files)))
    else:
        print("Nothing to approve: nothing has changed since the last `make register`.")
    return None


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


if __name__ == "__main__":
    sys.exit(check(ROOT) if "--check" in sys.argv[1:] else write(ROOT))
