"""Whether a process can be attested: it is the main process of a container that cannot change what it runs.  Pure.

All facts are the kernel's (proc(5)), but for the hosts file, which Docker writes.  A user who may start containers can
lie about the command line and the environment, because a process can overwrite both; such a user is root on this
machine anyway.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

COMMAND = ["python", "-I", "-B", "-u", "/app"]
"""What every party is started with: the interpreter of the image, on the one folder with the party's code."""
SETTABLE = re.compile(
    r"PATH|HOSTNAME|HOME|LANG|TERM|GPG_KEY|PYTHON_VERSION|PYTHON_SHA256|SPIFFE_ENDPOINT_SOCKET|ZT_[A-Z0-9_]+"
)
"""The variables that the base image, Docker and the compose file set.  None of them changes which code is loaded."""
DISK = ""
"""In place of kinds: it lies where Docker keeps what it makes, on whatever file system that is."""
KINDS = {
    r"/proc": "proc",
    # What Docker hides in it is covered by a folder in memory, or by `/dev/null`.
    r"/proc/.+": "proc|tmpfs|devtmpfs",
    r"/sys": "sysfs",
    r"/sys/.+": "sysfs|tmpfs|cgroup|cgroup2",
    r"/dev|/dev/shm|/tmp": "tmpfs",
    r"/dev/(pts|console)": "devpts",
    r"/dev/mqueue": "mqueue",
    r"/etc/(resolv\.conf|hostname|hosts)|/data|/data/log|/run/identity": DISK,
}
"""The mount points of every container, and of a party, each with the file systems that may be there."""
VOLUMES = "/data", "/data/log", "/run/identity"
"""Of these, the volumes.  No code is loaded from them."""
_NO_PROGRAMS = frozenset({"nosuid", "nodev", "noexec"})
OPTIONS = {"/run/identity": frozenset({"ro"}), "/tmp": _NO_PROGRAMS, "/dev/shm": _NO_PROGRAMS}  # noqa: S108
"""The options that a mount needs, where some are needed."""
LOCAL = {("127.0.0.1", "localhost"), ("::1", "localhost")}
OF_CONTAINER = re.compile(r"[0-9a-f]{12}|ip6-[a-z]+")
"""Besides `LOCAL`, the names in the hosts file that Docker writes: the container's id, and some that nobody calls."""
_CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


@dataclass(frozen=True, slots=True)
class Facts:
    """What proc(5) says about one process, each field the content of the file of that name; and its `/etc/hosts`."""

    status: str
    mountinfo: str
    cmdline: bytes
    environ: bytes
    hosts: bytes


class Place(NamedTuple):
    """A folder of the machine: the device (`major:minor`), and the path on it."""

    device: str
    path: str


class _Mount(NamedTuple):
    """One line of `mountinfo`."""

    point: str
    options: frozenset[str]
    kind: str
    place: Place


@dataclass(frozen=True, slots=True)
class Own:
    """What attestation has itself, and every party must have as well."""

    variables: Mapping[str, str]
    """Variables, with their values."""
    volumes: Place
    """See `volumes_of_docker`."""


def problem(facts: Facts, own: Own) -> str | None:
    """Return why this process cannot be attested, or None."""
    return (
        problem_of_rights(facts.status)
        or _of_mounts(facts.mountinfo, own.volumes)
        or _of_start(facts.cmdline.decode(errors="replace"), facts.environ.decode(errors="replace"), own.variables)
        or _of_hosts(facts.hosts.decode(errors="replace"))
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


def _of_mounts(mountinfo: str, volumes: Place) -> str | None:
    problems = (_of_root(one) if one.point == "/" else _of_mount(one, volumes) for one in _mounts(mountinfo))
    return next(filter(None, problems), None)


def _of_root(mount: _Mount) -> str | None:
    if mount.kind != "overlay":  # control: container-root-overlay
        return f"its root is {mount.kind}, and only overlay is known here: Docker's storage driver overlay2"
    if "ro" not in mount.options:  # control: container-root-read-only
        return "its root is writable: read_only: true"
    return None


def _of_mount(mount: _Mount, volumes: Place) -> str | None:
    point = mount.point
    kinds = next((kinds for known, kinds in KINDS.items() if re.fullmatch(known, point)), None)
    if kinds is None:  # control: container-nothing-mounted
        return f"something is mounted at {point}"
    if kinds and mount.kind not in kinds.split("|"):  # control: container-mount-kind
        return f"{point} is {mount.kind}: only {kinds} may be there"
    if lacking := OPTIONS.get(point, frozenset()) - mount.options:  # control: container-mount-options
        return f"{point} is mounted without {', '.join(sorted(lacking))}"
    if point in VOLUMES and _volumes(mount.place) != volumes:  # control: container-volumes
        return f"{point} is no volume of Docker's"
    return None


def volumes_of_docker(mountinfo: str) -> Place:
    """Return where Docker keeps its volumes, as attestation's own mounts say.  Raises `ValueError`."""
    for mount in _mounts(mountinfo):
        if mount.point == "/run/identity" and (volumes := _volumes(mount.place)):
            return volumes
    raise ValueError("/run/identity is no volume of Docker's")


def _volumes(volume: Place) -> Place | None:
    """Return where the volumes lie of which this is one: `VOLUMES/NAME/_data`; None if it is none."""
    parts = volume.path.rsplit("/", 2)
    return Place(volume.device, parts[0]) if parts[-1] == "_data" else None


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


def _of_hosts(hosts: str) -> str | None:
    for line in hosts.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        for name in names:
            if (address, name) not in LOCAL and not OF_CONTAINER.fullmatch(name):  # control: container-hosts
                return f"its /etc/hosts leads {name[:200]!r} to {address[:200]!r}"
    return None


def mount_points(mountinfo: str) -> frozenset[str]:
    """Return everything that is mounted above the root: files below it are not those of the image."""
    return frozenset(mount.point for mount in _mounts(mountinfo) if mount.point != "/")


def _mounts(mountinfo: str) -> list[_Mount]:
    lines = [line.split() for line in mountinfo.splitlines()]
    return [
        _Mount(fields[4], frozenset(fields[5].split(",")), fields[fields.index("-") + 1], Place(fields[2], fields[3]))
        for fields in lines
    ]
