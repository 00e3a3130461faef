"""One run at a time: a locked file in the run's folder has the process id, by which `make down` finds the run."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PID_FILE = "running.pid"


class RunError(Exception):
    """The system does not run.  The text names the cause and the next step."""


@contextmanager
def exclusive_run(folder: Path) -> Iterator[None]:
    """Hold the folder's lock for a block.  Raises `RunError` if another process holds it."""
    with (folder / PID_FILE).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise RunError(f"It runs already, as process {file.read().strip()}: `make down` ends it.") from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
        file.truncate(0)


def running_process(folder: Path) -> int | None:
    """Return the id of the process that runs the system of this folder, or None if no process holds the lock."""
    try:
        file = (folder / PID_FILE).open()
    except FileNotFoundError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            text = file.read()
            return int(text) if text else None  # without a text, it just ends
    return None
