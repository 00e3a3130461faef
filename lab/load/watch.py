"""What the running processes hold: memory, files, connections."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

SLACK = 8
"""MiB by which a process may have grown, besides a tenth of what it had."""
MOST_FILES = 250
"""Both pools of HTTP clients full (100 each), and what a process needs anyway."""


@dataclass(frozen=True, slots=True)
class Held:
    """By one process at one time."""

    memory: float
    """Resident, in MiB."""
    files: int
    connections: int


Samples = Mapping[str, list[Held]]
"""By the name of the process, one after the other."""


def held(pid: int) -> Held:
    """Look, from outside."""
    status = Path(f"/proc/{pid}/status").read_text()
    memory = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    links = []
    for file in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(file.readlink()))
        except OSError:  # closed meanwhile
            continue
    return Held(memory / 1024, len(links), sum(link.startswith("socket:") for link in links))


def grown(samples: Samples) -> list[str]:
    """Which process is not flat: its median of the last third against that of the first, or ever too many files."""
    found = []
    for name, seen in samples.items():
        third = max(1, len(seen) // 3)
        before, after = (median(s.memory for s in part) for part in (seen[:third], seen[-third:]))
        if after > before * 1.1 + SLACK:
            found.append(f"{name} grew from {before:.0f} to {after:.0f} MiB")
        if (most := max(s.files for s in seen)) > MOST_FILES:
            found.append(f"{name} held {most} files")
    return found
