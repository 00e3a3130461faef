"""What a run leaves to the next one in its folder, and for how long.

What is withdrawn and what was filed stays (`data/`).  Journals and logs are put aside run by run, each journal with its
own chain of hashes, and the oldest runs are removed.  Everything here blocks.
"""

import datetime as dt
import shutil
from pathlib import Path

RUNS_KEPT = 5
"""Runs whose journals and logs are kept beside those of the current one."""
MOST_KEPT = 200 * 1024 * 1024
"""Bytes of them all; over that, the oldest runs go first, but never the last one."""
JOURNAL = "journal.jsonl"


def put_aside(folder: Path) -> Path | None:
    """Move the journals and logs of the last run to `past/`, and remove what is too old or too much.

    Returns where they are now, or None where there was no run before.
    """
    moved = [*sorted((folder / "data").glob(f"*/{JOURNAL}")), *sorted((folder / "logs").glob("*"))]
    if not moved:
        return None
    place = folder / "past" / _name(moved)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in moved:
        file.rename(place / (f"{file.parent.name}.jsonl" if file.name == JOURNAL else file.name))
    _prune(folder / "past")
    return place


def forget(folder: Path) -> None:
    """Remove what runs left: data, journals, logs, and Keycloak's database, so that the realm is imported anew."""
    for name in ("data", "logs", "past", "keycloak/data"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("data.seal", "handover"):  # they describe the database, and nothing without it
        (folder / "keycloak" / name).unlink(missing_ok=True)


def _name(moved: list[Path]) -> str:
    """When that run last wrote something (UTC), so that names are in the order of time."""
    last = max(file.stat().st_mtime for file in moved)
    return f"{dt.datetime.fromtimestamp(last, dt.UTC):%Y-%m-%dT%H-%M-%S.%fZ}"


def _prune(past: Path) -> None:
    runs = sorted(past.glob("*"), reverse=True)
    total = 0
    for number, run in enumerate(runs):
        total += sum(file.stat().st_size for file in run.glob("*"))
        if number and (number >= RUNS_KEPT or total > MOST_KEPT):
            shutil.rmtree(run)
