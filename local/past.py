"""Keeps data of earlier runs in a run's folder, and limits how much.

Revocations, documents, journals and the audit log stay (`data/`): a journal goes on where it ended, as the log has it.
Logs of the processes are moved aside for each run, and the oldest are removed.  All functions here block.
"""

import datetime as dt
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

RUNS_KEPT = 5
"""Earlier runs whose logs and authorities are kept."""
MOST_KEPT = 200 * 1024 * 1024
"""Bytes of these; over that, those of the oldest runs are removed first, but never those of the last one."""
AUDIT_POLICY = "audit.policy"
"""The policy of the audit log, in the run's folder (`audit_policy.py`)."""
POLICY_BEFORE = "audit.policy.before"
"""That of the log before `make fresh`."""
CA = "ca.pem"
"""The certificate authority of the run, in its folder."""
HINTS = "hints"
"""What `make up` printed, passwords included, in the run's folder while it runs: only its owner can read it."""
FAILED = "failed"
"""The file with the error of a start that failed, in the run's folder, until the next one: `make doctor` reads it."""
_RUN = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6}Z")


def put_aside(folder: Path) -> Path | None:
    """Move the logs of the last run to `past/`, copy its authority there, and remove those over the limits.

    Return their new folder, or None if there was no earlier run.  Raises `NotADirectoryError`.
    """
    check_links(folder)
    moved = sorted((folder / "logs").glob("*"))
    if not moved:
        return None
    place = folder / "past" / _name(moved)
    _check_link(place)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in moved:
        file.rename(place / file.name)
    if (authority := folder / CA).is_file():
        shutil.copy2(authority, place)  # receipts of that run are verified with it
    _prune(folder / "past")
    return place


@contextmanager
def failure_noted(folder: Path) -> Iterator[Event]:
    """Keep the error that ends the block before the event is set: that of a start."""
    file, runs = folder / FAILED, Event()
    file.unlink(missing_ok=True)
    try:
        yield runs
    except Exception as error:
        if not runs.is_set():
            file.write_text(f"{error}\n")
        raise


def kept(put_away: Path) -> str:
    """Return the message on what is kept of the last run, and what is not."""
    return (
        "Revocations, documents, activated policies and journals of the last run are kept. Its logs are in "
        f"{put_away} ({RUNS_KEPT} runs are kept, {MOST_KEPT >> 20} MB at most). Its sessions are gone, and so are "
        "changes in Keycloak's admin page. `make fresh` deletes what is kept"
    )


def data_of(folder: Path, name: str) -> Path:
    """Return the folder of a party's data."""
    return folder / "data" / name.replace("/", "-")


def forget(folder: Path) -> None:
    """Remove data, journals and logs of all runs, and what a Llama Stack server had.

    The keys of the audit log stay, under another name: what somebody exported from it is verified with them.
    """
    for name in ("data", "logs", "past", "llama-stack"):
        shutil.rmtree(folder / name, ignore_errors=True)
    with suppress(FileNotFoundError):
        (folder / AUDIT_POLICY).replace(folder / POLICY_BEFORE)


def check_links(folder: Path) -> None:
    """Raise `NotADirectoryError` if a link would make us move or remove files outside the run's folder."""
    for name in ("data", "logs", "past", "keycloak", "llama-stack"):
        _check_link(folder / name)


def _check_link(path: Path) -> None:
    if path.is_symlink():
        raise NotADirectoryError(f"{path} is a symbolic link, whose target is not part of a run: remove the link.")


def _name(moved: list[Path]) -> str:
    """Return the time of that run's last write (UTC), so that the order of names is the order of time."""
    last = max(file.stat().st_mtime for file in moved)
    return f"{dt.datetime.fromtimestamp(last, dt.UTC):%Y-%m-%dT%H-%M-%S.%fZ}"


def _prune(past: Path) -> None:
    runs = [run for run in past.iterdir() if _RUN.fullmatch(run.name) and run.is_dir() and not run.is_symlink()]
    total = 0
    for number, run in enumerate(sorted(runs, reverse=True), 1):
        total += sum(file.lstat().st_size for file in run.iterdir())
        if number > 1 and (number > RUNS_KEPT or total > MOST_KEPT):
            shutil.rmtree(run)
