"""Facts about the system on this machine: `run/`, `.venv` and the cache."""

import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from scripts.diagnosis.gather.ports import taken
from scripts.diagnosis.local import KEYCLOAK, Local
from scripts.diagnosis.logs import last_words
from scripts.diagnosis.suspended import Suspended

FOLDERS = ("run", "run/walkthrough")
"""Of `make up`, and of `make demo`."""


FAILED = "failed"
"""As in `local/past.py`."""
REGISTRY = "authority/registry"
DATABASE = "revocations.db"
"""As in `authorities/registry/app.py`."""


def cache_folder() -> Path:
    """Return where fetched files are kept; as in `local/fetched.py`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zero-trust-agents"


def local(root: Path, parties: Mapping[str, int]) -> Local:
    """Return what is kept and what runs.  `parties`: the port of each party."""
    running = [(folder, pid) for folder in FOLDERS if (pid := _running(root / folder / "running.pid"))]
    folder, process = running[0] if running else ("", None)
    silent = [name for name, port in sorted(parties.items()) if process and not taken(port)]
    home = os.environ.get("KEYCLOAK_HOME", "")
    return Local(
        process=process,
        folder=folder,
        failed=_failed([root / name / FAILED for name in (*FOLDERS, "run/notebooks")]),
        environment=_there(root / ".venv/ready"),
        keycloak_home=home,
        keycloak_version=_text(Path(home) / "version.txt").removeprefix("Keycloak - Version ") if home else "",
        cached=_there(cache_folder() / f"keycloak-{KEYCLOAK}"),
        silent=tuple((name, last_words(_log(root / folder, name))) for name in silent),
        suspended=suspended(root / (folder or "run") / "data" / "authority-registry" / DATABASE),
    )


def _failed(files: Sequence[Path]) -> str:
    """Return when and why the last start failed that is on file.  A start that succeeds removes its folder's file."""
    found = [(file.stat().st_mtime, file) for file in files if _there(file)]
    if not found:
        return ""
    at, file = max(found)
    return f"({time.strftime('%Y-%m-%d %H:%M', time.localtime(at))}) {' '.join(_text(file).splitlines())}"


def _running(file: Path) -> int | None:
    """Return the process that holds the lock on this file, from proc(5), for a lock of ours could hinder a start."""
    with suppress(OSError, ValueError):
        inode = file.stat().st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if "FLOCK" in fields and fields[-3].rpartition(":")[2] == str(inode):
                return int(_text(file))
    return None


def suspended(database: Path) -> Suspended:
    """Return the parties whose last change is a revocation, each with its cause; the registry is none of them.

    It starts all the same, because it is the one that would have to hear of it.
    """
    if not _there(database):
        return ()
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=1)) as connection:
            rows = connection.execute("SELECT name, cause FROM changes WHERE kind = 'party' ORDER BY number")
            latest = {str(name): cause for name, cause in rows}
    except sqlite3.Error:
        return None
    found = ((_short(name), cause) for name, cause in sorted(latest.items()) if cause)
    return tuple((name, cause) for name, cause in found if name != REGISTRY)


def _short(name: str) -> str:
    """Return `agent/reader` of `spiffe://agents.example/agent/reader`."""
    return name.removeprefix("spiffe://").partition("/")[2] or name


def _log(folder: Path, party: str) -> list[str]:
    """Return the last lines of a party's log."""
    return _text(folder / "logs" / f"{party.replace('/', '-')}.log")[-20_000:].splitlines()


def _there(path: Path) -> bool:
    """Return whether there is such a file or folder, as far as this user may see it."""
    with suppress(OSError):
        return path.exists()
    return False


def _text(file: Path) -> str:
    with suppress(OSError):
        return file.read_text(errors="replace").strip()
    return ""
