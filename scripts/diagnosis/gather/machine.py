"""Facts about this machine."""

import os
import platform
import shutil
import socket
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from scripts.diagnosis.gather.commands import run
from scripts.diagnosis.machine import Disk, Machine

SO_PEERPIDFD = 77  # as in `authorities/attestation/process/peers.py`
DATED = ("docker-compose.yml", "Dockerfile", "Makefile", "README.md", "registry.yaml", "registry.lock")
"""Files of the project whose time is compared with the clock."""


def machine(root: Path) -> Machine:
    """Return what Python and the kernel say."""
    memory = _memory()
    newest, name = _newest(root)
    return Machine(
        system=platform.system(),
        kernel=platform.release(),
        python=platform.python_version(),
        installer=bool(shutil.which("uv") or (root / ".venv/uv/bin/uv").exists() or find_spec("pip")),
        pidfd=_works(lambda: os.close(os.pidfd_open(os.getpid()))),
        peer_pidfd=_works(_ask_for_peer),
        suid_dumpable=_setting("fs/suid_dumpable"),
        memfd_noexec=_setting("vm/memfd_noexec"),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        load=os.getloadavg()[0],
        memory=memory.get("MemTotal", 1 << 20),  # not Linux: Docker says what its machine has
        available=memory.get("MemAvailable", 1 << 20) + memory.get("SwapFree", 0),
        now=time.time(),
        newest=newest,
        newest_name=name,
    )


def _memory() -> dict[str, int]:
    """Return the sizes in /proc/meminfo, in megabytes."""
    try:
        lines = [line.split() for line in Path("/proc/meminfo").read_text().splitlines()]
    except OSError:
        return {}
    return {fields[0].rstrip(":"): int(fields[1]) >> 10 for fields in lines}


def _works(call: object) -> bool:
    try:
        call()  # type: ignore[operator]
    except (OSError, AttributeError):
        return False
    return True


def _ask_for_peer() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        os.close(one.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD))


def _setting(name: str) -> str:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return ""


def _newest(root: Path) -> tuple[float, str]:
    """Return the latest of the last commit's time and some files' times, and which it is."""
    times = {name: (root / name).stat().st_mtime for name in DATED if (root / name).exists()}
    times = {f"the time of {name}": when for name, when in times.items()}
    commit = run("git", "-C", str(root), "log", "-1", "--format=%ct").text.strip()
    if commit.isdigit():
        times["the last commit"] = float(commit)
    latest = max(times, key=lambda name: times[name], default="")
    return times.get(latest, 0), latest or "any file"


def disk(folder: str | Path, needed: int, why: str) -> Disk | None:
    """Return how much room a folder has, or the next one above it that exists; None if this user cannot see it."""
    place = Path(folder)
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        return Disk(str(folder), shutil.disk_usage(place).free // 1_000_000, needed, why)
    except OSError:
        return None


def colour() -> bool:
    """Whether the output is a terminal whose user wants colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
