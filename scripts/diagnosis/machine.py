"""Python, kernel, clock, memory and disk.  Pure.

What the kernel has to offer is what `authorities/attestation/process` uses.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scripts.diagnosis.verdict import Verdict, note, ok, skipped, wrong

MEMORY = {"containers": 1500, "local": 1400}
"""Megabytes that everything needs in all, by the way of starting: as measured."""
CORES = 2
BUSY = 3
"""Load for each core from which one has to wait."""
CLOCK_BEHIND = 300
"""Seconds by which a file of the project may be newer than now: it came from a machine with another clock."""


@dataclass(frozen=True, slots=True)
class Machine:
    """This machine, as Python and the kernel describe it."""

    system: str
    kernel: str
    python: str
    installer: bool
    """Whether uv or pip is there."""
    pidfd: bool
    """Whether `pidfd_open` works."""
    peer_pidfd: bool
    """Whether a Unix connection tells its peer's pidfd (`SO_PEERPIDFD`)."""
    suid_dumpable: str
    memfd_noexec: str
    cores: int
    load: float
    """Processes that compute or wait for it, on average of the last minute."""
    memory: int
    available: int
    """Megabytes, swap included."""
    now: float
    newest: float
    """The time of the newest file of the project, or of the last commit."""
    newest_name: str


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder that will be written to."""

    folder: str
    free: int
    needed: int
    """Both in megabytes."""
    why: str


def python(machine: Machine, *, local: bool) -> Verdict:
    """Whether `make` can set up its environment; containers need no Python."""
    if local and not machine.installer:
        repair = "sudo apt install python3-pip   (or install uv: https://docs.astral.sh/uv)"
        return wrong("python", f"Python {machine.python} has no pip, and there is no uv: `make` needs one", repair)
    return ok("python", f"Python {machine.python}")


def kernel(machine: Machine, *, local: bool) -> Verdict:
    """Whether the kernel offers what attestation needs."""
    name = f"{machine.system} {machine.kernel}"
    if machine.system != "Linux":
        if local:
            return wrong("kernel", f"{name}: `make demo` needs Linux", "docker compose up --wait")
        return note("kernel", f"{name}: Docker runs the containers in a virtual machine")
    faults = [
        (
            not machine.pidfd,
            f"{name} has no pidfd_open: attestation cannot tell processes apart",
            "use Linux 5.3 or newer, and no sandbox such as gVisor",
        ),
        (
            machine.suid_dumpable == "1",
            "fs.suid_dumpable is 1: the kernel opens processes that hold keys to others, so no keys are made",
            "sudo sysctl fs.suid_dumpable=0",
        ),
        (
            machine.memfd_noexec == "2",
            "vm.memfd_noexec is 2: no program runs from memory, so no process is closed from its start",
            "sudo sysctl vm.memfd_noexec=1",
        ),
    ]
    if fault := next((fault for fault in faults if fault[0]), None):
        return wrong("kernel", *fault[1:])
    if not machine.peer_pidfd:
        return note("kernel", f"{name}: before 6.5 a caller is known by process id and start time; that works, too")
    return ok("kernel", name)


def clock(machine: Machine) -> Verdict:
    """Whether the clock is obviously wrong: certificates and tokens live minutes."""
    if machine.now < machine.newest - CLOCK_BEHIND:
        days = (machine.newest - machine.now) / 86400
        late = f"{days:.0f} days" if days >= 2 else f"{days * 24:.1f} hours"
        return wrong("clock", f"this machine's clock is {late} before {machine.newest_name}", SET_CLOCK)
    return ok("clock", f"not before {machine.newest_name}")


SET_CLOCK = "sudo timedatectl set-ntp true   (or set the date by hand: sudo date -s ...)"


def memory(machine: Machine, ways: Iterable[str], *, running: bool) -> Verdict:
    """Whether all parts find room.  What already runs has its room."""
    needed = max(MEMORY[way] for way in ways)
    has = f"{machine.memory} MB, {machine.available} MB free, {machine.cores} cores"
    if machine.memory < needed or (machine.available < needed and not running):
        return wrong("memory", f"{has}: {needed} MB are needed", "end other programs, or use a larger machine")
    if machine.cores < CORES:
        return note("memory", f"{has}: on one core everything starts slowly")
    return ok("memory", has)


def load(machine: Machine) -> Verdict:
    """Whether others use the processors.  A start takes longer then, and does not fail."""
    said = f"{machine.load:.0f} on {machine.cores} cores"
    if machine.load > BUSY * machine.cores:
        return note("load", f"{said}: everything takes several times as long as usual")
    return ok("load", said)


def disk(disks: Sequence[Disk]) -> Verdict:
    """Whether there is room to write."""
    for one in disks:
        if one.free < one.needed:
            said = f"{one.folder} has {one.free} MB free, and {one.needed} MB are needed {one.why}"
            return wrong("disk", said, "make room there")
    if not disks:
        return skipped("disk", "nothing says where it would be written")
    return ok("disk", f"{min(one.free for one in disks) / 1000:.0f} GB free")
