"""Measures the resources of running processes: memory, files, connections."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

SLACK = 8
"""MiB that a process may grow by, in addition to a tenth of its size."""
MOST_FILES = 250
"""Two full pools of HTTP clients (100 each), and what a process needs otherwise."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The resources of one process at one time."""

    memory: float
    """Resident memory, in MiB."""
    files: int
    connections: int


Samples = Mapping[str, list[Usage]]
"""The samples of each process, by name, in order."""


def measure(pid: int) -> Usage:
    """Return the resources of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    memory = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    links = []
    for file in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(file.readlink()))
        except OSError:  # closed meanwhile
            continue
    return Usage(memory / 1024, len(links), sum(link.startswith("socket:") for link in links))


def leaks(samples: Samples) -> list[str]:
    """Return the processes that grew, from the first third to the last by median, or had too many files."""
    found = []
    for name, seen in samples.items():
        third = max(1, len(seen) // 3)
        before, after = (median(s.memory for s in part) for part in (seen[:third], seen[-third:]))
        if after > before * 1.1 + SLACK:
            found.append(f"{name} grew from {before:.0f} to {after:.0f} MiB")
        if (most := max(s.files for s in seen)) > MOST_FILES:
            found.append(f"{name} held {most} files")
    return found
