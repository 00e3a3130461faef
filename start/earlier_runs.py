"""Keeps data of earlier runs in a run's folder, and the logs of the last run.

Revocations, documents, journals and the audit log stay (`data/`): a journal goes on where it ended, as the log has it.
Logs of the processes are moved aside, in the place of those of the run before.  All functions here block.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

AUDIT_POLICY = "audit.policy"
"""The policy of the audit log, in the run's folder (`everything.py`)."""
POLICY_BEFORE = "audit.policy.before"
"""That of the log before `make fresh`."""
CA = "ca.pem"
"""The certificate authority of the run, in its folder."""
HINTS = "hints"
"""What `make up` printed, passwords included, in the run's folder while it runs: only its owner can read it."""
FAILED = "failed"
"""The file with the error of a start that failed, in the run's folder, until the next start: `make doctor` reads it."""


def put_aside(folder: Path) -> Path | None:
    """Move the logs of the last run to `past`, and copy its authority there; those of the run before are removed.

    Return their new folder, or None if there was no earlier run.  Raises `NotADirectoryError`.
    """
    check_links(folder)
    moved = sorted((folder / "logs").glob("*"))
    if not moved:
        return None
    place = folder / "past"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o700)
    for file in moved:
        file.rename(place / file.name)
    if (authority := folder / CA).is_file():
        shutil.copy2(authority, place)  # receipts of that run are verified with it
    return place


@contextmanager
def recording_failure(folder: Path) -> Iterator[Event]:
    """Save the error of a start that ends the block before the event is set."""
    file, runs = folder / FAILED, Event()
    file.unlink(missing_ok=True)
    try:
        yield runs
    except Exception as error:
        if not runs.is_set():
            file.write_text(f"{error}\n")
        raise


def kept_message(put_away: Path) -> str:
    """Return the message on what is kept of the last run, and what is not."""
    return (
        "Revocations, documents, activated policies and journals of the last run are kept. Its logs are in "
        f"{put_away}. Its sessions are gone, and so are changes in Keycloak's admin page. `make fresh` deletes what is "
        "kept"
    )


def data_folder(folder: Path, name: str) -> Path:
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
        if (path := folder / name).is_symlink():
            raise NotADirectoryError(f"{path} is a symbolic link, whose target is not part of a run: remove the link.")
