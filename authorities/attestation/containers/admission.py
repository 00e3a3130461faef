"""Whether a process can be attested: it is the main process of a container that cannot change what it runs.  Pure.

All facts are the kernel's (proc(5)).  A user who may start containers can lie about the command line and the
environment, because a process can overwrite both; such a user is root on this machine anyway.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

COMMAND = ["python", "-I", "-B", "-u", "/app"]
"""What every party is started with: the interpreter of the image, on the one folder with the party's code."""
SETTABLE = re.compile(
    r"PATH|HOSTNAME|HOME|LANG|TERM|GPG_KEY|PYTHON_VERSION|PYTHON_SHA256|SPIFFE_ENDPOINT_SOCKET|ZT_[A-Z0-9_]+"
)
"""The variables that the base image, Docker and the compose file set.  None of them changes which code is loaded."""
OF_DOCKER = re.compile(r"/proc(/.*)?|/sys(/.*)?|/dev(/(pts|mqueue|shm|console))?|/etc/(resolv\.conf|hostname|hosts)")
"""The mount points of every container."""
MOUNTS = {"/data": "rw", "/data/log": "rw", "/tmp": "rw", "/run/identity": "ro"}  # noqa: S108 - the container's own
"""The further mount points of a party, each with the most that it may allow.  No code is loaded from them."""
_CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


@dataclass(frozen=True, slots=True)
class Facts:
    """What proc(5) says about one process, each field the content of the file of that name."""

    status: str
    mountinfo: str
    cmdline: bytes
    environ: bytes


def problem(facts: Facts, same: Mapping[str, str]) -> str | None:
    """Return why this process cannot be attested, or None.  `same`: variables that must have these values."""
    return (
        problem_of_rights(facts.status)
        or _of_mounts(facts.mountinfo)
        or _of_start(facts.cmdline.decode(errors="replace"), facts.environ.decode(errors="replace"), same)
    )


def problem_of_rights(text: str) -> str | None:
    """Return the same of `/proc/PID/status` alone, which everybody can read."""
    status = {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
    spaces = status["NSpid"].split()
    if len(spaces) < 2 or spaces[-1] != "1":  # control: main-process-of-container
        return "it is not the main process of a container"
    if held := [name for name in _CAPABILITIES if int(status[name], 16)]:  # control: container-without-capabilities
        return f"it has capabilities ({held[0]} {status[held[0]]}): cap_drop: [ALL]"
    if status.get("NoNewPrivs") != "1":  # control: container-no-new-privileges
        return "it can gain privileges: security_opt: [no-new-privileges:true]"
    if status.get("Seccomp") != "2":  # control: container-seccomp
        return "no seccomp filter limits its system calls"
    return "it runs as root" if "0" in status["Uid"].split() else None  # control: container-not-root


def _of_mounts(mountinfo: str) -> str | None:
    for point, options, kind in _mounts(mountinfo):
        if point == "/":
            if kind != "overlay":  # control: container-root-overlay
                return f"its root is {kind}, and only overlay is known here: Docker's storage driver overlay2"
            if "ro" not in options:  # control: container-root-read-only
                return "its root is writable: read_only: true"
        elif point in MOUNTS:
            if MOUNTS[point] == "ro" and "ro" not in options:  # control: container-identity-read-only
                return f"{point} is writable"
        elif not OF_DOCKER.fullmatch(point):  # control: container-nothing-mounted
            return f"something is mounted at {point}"
    return None


def _of_start(cmdline: str, environ: str, same: Mapping[str, str]) -> str | None:
    command = cmdline.split("\0")[:-1]
    if command != COMMAND:  # control: container-command
        return f"it was started as {' '.join(command)[:200]!r}"
    entries = [entry.partition("=")[::2] for entry in environ.split("\0") if entry]
    variables = dict(entries)
    if strange := sorted(name for name in variables if not SETTABLE.fullmatch(name)):  # control: container-environment
        return f"its environment has {', '.join(strange)[:200]!r}"
    if len(variables) != len(entries):  # of two with one name, Python takes the first  # control: container-once-set
        return "its environment has a variable twice"
    wrong = sorted(name for name, value in same.items() if variables.get(name, value) != value)
    return f"its {wrong[0]} is not that of attestation" if wrong else None  # control: container-settings


def mount_points(mountinfo: str) -> frozenset[str]:
    """Return everything that is mounted above the root: files below it are not those of the image."""
    return frozenset(point for point, _, _ in _mounts(mountinfo) if point != "/")


def _mounts(mountinfo: str) -> list[tuple[str, list[str], str]]:
    """Mount point, its options, and the file system's type."""
    lines = [line.split() for line in mountinfo.splitlines()]
    return [(fields[4], fields[5].split(","), fields[fields.index("-") + 1]) for fields in lines]
