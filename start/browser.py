"""Makes browsers trust the authority of this run: `start/run start trust` and `start/run start browser`.

On Linux, Chromium keeps what its user trusts in `~/.pki/nssdb`, whatever its profile, and Firefox keeps it in each
profile.  Both are databases of NSS, which its `certutil` writes (Debian: `libnss3-tools`).
"""

import os
import shutil
import subprocess
from pathlib import Path

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
NICKNAME = "Zero trust for agents: the authority of one run"
OF_CHROMIUM = Path(".pki", "nssdb")
"""Where Chromium looks, below the home of its user."""


def trust(database: Path, authority: Path) -> None:
    """Have browsers that use this database trust `authority` for servers, in place of that of an earlier run.

    Raises `FileNotFoundError` without `certutil`, and `subprocess.CalledProcessError` if it refuses.
    """
    database.mkdir(mode=0o700, parents=True, exist_ok=True)
    at = ["-d", f"sql:{database}"]
    if not (database / "cert9.db").exists():
        _certutil(*at, "-N", "--empty-password")
    _certutil(*at, "-D", "-n", NICKNAME, check=False)
    _certutil(*at, "-A", "-t", "C,,", "-n", NICKNAME, "-i", str(authority))


def environment(home: Path) -> dict[str, str | float | bool]:
    """Return the environment of a browser that has this home."""
    return {**os.environ, "HOME": str(home)}


def _certutil(*arguments: str, check: bool = True) -> None:
    subprocess.run([shutil.which("certutil") or "certutil", *arguments], check=check, capture_output=not check)  # noqa: S603
