"""Makes a browser trust the authority of the run in `run`: `start/run start trust` and `start/run start browser`.

On Linux, Chromium and Chrome keep what their user trusts in `~/.pki/nssdb`, whatever the profile is, and Firefox keeps
it in each profile.  Both are databases of NSS, which its `certutil` writes (Debian: the package `libnss3-tools`).
"""

import os
import shutil
import subprocess
from pathlib import Path

NICKNAME = "Zero trust for agents, one run"
"""The authority's name in a database, without a colon: before one, NSS expects the name of a token."""
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FIREFOX = ("firefox", "firefox-esr")


def trust(database: Path, authority: Path) -> None:
    """Have browsers that use this database trust `authority` for servers.

    Raises `FileNotFoundError` without `certutil`, and `subprocess.CalledProcessError` if that fails.
    """
    database.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (database / "cert9.db").exists():
        _certutil(database, "-N", "--empty-password")
    forget(database)
    _certutil(database, "-A", "-t", "C,,", "-n", NICKNAME, "-i", str(authority))


def forget(database: Path) -> None:
    """Undo `trust`, if that was done.  Raises `FileNotFoundError` without `certutil`."""
    while _certutil(database, "-D", "-n", NICKNAME, check=False):
        pass


def profile(home: Path, authority: Path, address: str) -> tuple[list[str], dict[str, str]]:
    """Make a browser's profile that trusts `authority`, and return the command that opens an address in it, and its
    environment.

    `home` is a folder for that profile alone.  Raises as `trust`, and `FileNotFoundError` where there is no browser.
    """
    program = next((found for name in CHROMIUM + FIREFOX if (found := shutil.which(name))), None)
    if program is None:
        raise FileNotFoundError(f"no browser: {', '.join(CHROMIUM + FIREFOX)}")
    environment: dict[str, str] = {**os.environ, "HOME": str(home)}
    if Path(program).name in FIREFOX:
        trust(home, authority)
        return [program, "--new-instance", "--profile", str(home), address], environment
    trust(home / ".pki" / "nssdb", authority)
    return [program, f"--user-data-dir={home}", "--no-first-run", address], environment


def _certutil(database: Path, *arguments: str, check: bool = True) -> bool:
    command = ["certutil", arguments[0], "-d", f"sql:{database}", *arguments[1:]]
    return not subprocess.run(command, check=check, capture_output=not check).returncode  # noqa: S603
