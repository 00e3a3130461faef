"""Keeps data of earlier runs in a run's folder, and limits how much.

Revocations and documents stay (`data/`).  Journals and logs are moved aside for each run, each journal with its own
hash chain, and the oldest runs are removed.  All functions here block.
"""

import datetime as dt
import re
import shutil
from pathlib import Path

RUNS_KEPT = 5
"""Earlier runs with journals that are kept, besides the last one without: a start that failed."""
MOST_KEPT = 200 * 1024 * 1024
"""Bytes of all runs with journals; over that, the oldest runs are removed first, but never the last one."""
JOURNAL = "journal.jsonl"
_RUN = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6}Z")


def put_aside(folder: Path) -> Path | None:
    """Move the journals and logs of the last run to `past/`, and remove the runs over the limits.

    Return their new folder, or None if there was no earlier run.  Raises `NotADirectoryError`.
    """
    check_links(folder)
    moved = [*sorted((folder / "data").glob(f"*/{JOURNAL}*")), *sorted((folder / "logs").glob("*"))]
    if not moved:
        return None
    place = folder / "past" / _name(moved)
    _check_link(place)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in moved:
        # control: journals-kept
        file.rename(place / _kept_name(file))
    _prune(folder / "past")
    return place


def kept(put_away: Path) -> str:
    """Return the message on what is kept of the last run, and what is not."""
    return (
        "Revocations and documents of the last run are kept. Its journals and logs are in "
        f"{put_away} ({RUNS_KEPT} runs are kept, {MOST_KEPT >> 20} MB at most). Its sessions are gone, and so are "
        "changes in Keycloak's admin page. `make fresh` removes it all"
    )


def data_of(folder: Path, name: str) -> Path:
    """Return the folder of a party's data."""
    return folder / "data" / name.replace("/", "-")


def forget(folder: Path) -> None:
    """Remove data, journals and logs of all runs, and what a Llama Stack server had."""
    for name in ("data", "logs", "past", "llama-stack"):
        shutil.rmtree(folder / name, ignore_errors=True)


def check_links(folder: Path) -> None:
    """Raise `NotADirectoryError` if a link would make us move or remove files outside the run's folder."""
    for name in ("data", "logs", "past", "keycloak", "llama-stack"):
        _check_link(folder / name)


def _check_link(path: Path) -> None:
    if path.is_symlink():
        raise NotADirectoryError(f"{path} is a symbolic link, whose target is not part of a run: remove the link.")


def _kept_name(file: Path) -> str:
    """Return the name of a log, or of a journal's segment with its party's name in it."""
    return file.name.replace("journal", file.parent.name, 1) if file.name.startswith(JOURNAL) else file.name


def _name(moved: list[Path]) -> str:
    """Return the time of that run's last write (UTC), so that the order of names is the order of time."""
    last = max(file.stat().st_mtime for file in moved)
    return f"{dt.datetime.fromtimestamp(last, dt.UTC):%Y-%m-%dT%H-%M-%S.%fZ}"


def _prune(past: Path) -> None:
    runs = [run for run in past.iterdir() if _RUN.fullmatch(run.name) and run.is_dir() and not run.is_symlink()]
    total = counted = failed = 0
    for run in sorted(runs, reverse=True):
        if any(journal.lstat().st_size for journal in run.glob("*.jsonl*")):
            counted += 1
            total += sum(file.lstat().st_size for file in run.iterdir())
            old = counted > 1 and (counted > RUNS_KEPT or total > MOST_KEPT)
        else:  # failed starts, however many, must not displace a journal
            failed += 1
            old = failed > 1
        if old:
            shutil.rmtree(run)
