"""What a run leaves to the next one in its folder, and for how long.

What is revoked and what was filed stays (`data/`).  Journals and logs are put aside run by run, each journal with its
own chain of hashes, and the oldest runs are removed.  Everything here blocks.
"""

import datetime as dt
import re
import shutil
from pathlib import Path

RUNS_KEPT = 5
"""Runs with journals that are kept beside the current one, and the last one without: a start that failed."""
MOST_KEPT = 200 * 1024 * 1024
"""Bytes of all with journals; over that, the oldest runs go first, but never the last one."""
JOURNAL = "journal.jsonl"
_RUN = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6}Z")


def put_aside(folder: Path) -> Path | None:
    """Move the journals and logs of the last run to `past/`, and remove what is too old or too much.

    Returns where they are now, or None where there was no run before.  Raises `NotADirectoryError`.
    """
    check_links(folder)
    moved = [*sorted((folder / "data").glob(f"*/{JOURNAL}")), *sorted((folder / "logs").glob("*"))]
    if not moved:
        return None
    place = folder / "past" / _name(moved)
    _check_link(place)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in moved:
        # control: journals-kept
        file.rename(place / (f"{file.parent.name}.jsonl" if file.name == JOURNAL else file.name))
    _prune(folder / "past")
    return place


def forget(folder: Path) -> None:
    """Remove what runs left: data, journals, logs, and Keycloak's database, so that the realm is imported anew."""
    for name in ("data", "logs", "past", "keycloak/data"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("data.seal", "handover"):  # they describe the database, and nothing without it
        (folder / "keycloak" / name).unlink(missing_ok=True)


def check_links(folder: Path) -> None:
    """Raise `NotADirectoryError` where a link would have us move or remove what lies outside the run's folder."""
    for name in ("data", "logs", "past", "keycloak", "keycloak/data"):
        _check_link(folder / name)


def _check_link(path: Path) -> None:
    if path.is_symlink():
        raise NotADirectoryError(f"{path} is a symbolic link, and what it leads to is not of a run: remove the link.")


def _name(moved: list[Path]) -> str:
    """When that run last wrote something (UTC), so that names are in the order of time."""
    last = max(file.stat().st_mtime for file in moved)
    return f"{dt.datetime.fromtimestamp(last, dt.UTC):%Y-%m-%dT%H-%M-%S.%fZ}"


def _prune(past: Path) -> None:
    runs = [run for run in past.iterdir() if _RUN.fullmatch(run.name) and run.is_dir() and not run.is_symlink()]
    total = counted = failed = 0
    for run in sorted(runs, reverse=True):
        if any(journal.lstat().st_size for journal in run.glob("*.jsonl")):
            counted += 1
            total += sum(file.lstat().st_size for file in run.iterdir())
            old = counted > 1 and (counted > RUNS_KEPT or total > MOST_KEPT)
        else:  # any number of starts that fail may push out no journal
            failed += 1
            old = failed > 1
        if old:
            shutil.rmtree(run)
