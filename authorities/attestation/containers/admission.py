"""Decides whether a process can be attested: the main process of a container that cannot change what it runs.  Pure.

All facts are the kernel's (proc(5)), except the hosts file, which Docker writes.  A user who may start containers can
lie about the command line and the environment, because a process can overwrite both; such a user is root on this
machine anyway.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

COMMAND = ["python", "-I", "-B", "-u", "/app"]
"""The command of every party: the interpreter of the image, on the one folder with the party's code."""
SETTABLE = re.compile(
    r"PATH|HOSTNAME|HOME|LANG|TERM|GPG_KEY|PYTHON_VERSION|PYTHON_SHA256|SPIFFE_ENDPOINT_SOCKET|ZT_[A-Z0-9_]+"
)
"""The variables that the base image, Docker and the compose file set.  None of them changes which code is loaded."""
KINDS = {
    r"/proc": r"proc /",
    # Docker covers what it hides there with an empty folder in memory, or with `/dev/null`.
    r"/proc/.+": r"proc /.+|tmpfs /(null)?|devtmpfs /null",
    r"/sys": r"sysfs /",
    r"/sys/.+": r"tmpfs /|(sysfs|cgroup2?) /.*",
    r"/dev|/dev/shm|/tmp": r"tmpfs /",
    r"/dev/pts": r"devpts /",
    r"/dev/console": r"devpts /.+",
    r"/dev/mqueue": r"mqueue /",
}
"""The mount points of every container, each with the file systems that may be there, and their folder.

If the container has the file system for itself, that folder is `/`; if it is mounted elsewhere, it can be any.
"""
KEPT = {
    **dict.fromkeys(("/data", "/data/log", "/run/identity"), "_data"),
    **{f"/etc/{name}": name for name in ("hostname", "hosts", "resolv.conf")},
}
"""The mount points of what Docker keeps on the machine, in `volumes/NAME/_data` or `containers/ID/hosts`, each with the
last part of that path.  No code is loaded from them.
"""
_NO_PROGRAMS = frozenset({"nosuid", "nodev", "noexec"})
OPTIONS = {"/run/identity": frozenset({"ro"}), "/tmp": _NO_PROGRAMS, "/dev/shm": _NO_PROGRAMS}  # noqa: S108
"""The options that some mounts need."""
LOCAL = {("127.0.0.1", "localhost"), ("::1", "localhost")}
OF_CONTAINER = re.compile(r"[0-9a-f]{12}|ip6-[a-z]+")
"""Besides `LOCAL`, the names in the hosts file that Docker writes: the container's id, and some that no party calls."""
_CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


@dataclass(frozen=True, slots=True)
class Facts:
    """What proc(5) says about one process, each field the content of the file of that name; and its `/etc/hosts`."""

    status: str
    mountinfo: bytes
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
    """The variables and kept files of attestation, which every party must have as well."""

    variables: Mapping[str, str]
    """Variables, with their values."""
    kept: Mapping[str, Place]
    """See `docker_places`."""


def problem(facts: Facts, own: Own) -> str | None:
    """Return why this process cannot be attested, or None."""
    return (
        problem_of_rights(facts.status)
        or next(filter(None, (_of_mount(one, own.kept) for one in _mounts(facts.mountinfo))), None)
        or _of_start(facts.cmdline.decode(errors="replace"), facts.environ.decode(errors="replace"), own.variables)
        or _of_hosts(facts.hosts)
    )


def problem_of_rights(text: str) -> str | None:
    """Return why this `/proc/PID/status`, which every user can read, rules attestation out; None if it does not."""
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


def _of_root(mount: _Mount) -> str | None:
    if mount.kind != "overlay":  # control: container-root-overlay
        return f"its root is {mount.kind}, and only overlay is known here: Docker's storage driver overlay2"
    if "ro" not in mount.options:  # control: container-root-read-only
        return "its root is writable: read_only: true"
    return None


def _of_mount(mount: _Mount, kept: Mapping[str, Place]) -> str | None:
    if mount.point == "/":
        return _of_root(mount)
    point, is_kept = mount.point, mount.point in KEPT
    kinds = next((kinds for known, kinds in KINDS.items() if re.fullmatch(known, point)), None)
    if kinds is None and not is_kept:  # control: container-nothing-mounted
        return f"something is mounted at {point}"
    found = f"{mount.kind} {mount.place.path}"
    if kinds and not re.fullmatch(kinds, found):  # control: container-mount-kind
        return f"{point} is {found}: only {kinds} may be there"
    if lacking := OPTIONS.get(point, frozenset()) - mount.options:  # control: container-mount-options
        return f"{point} is mounted without {', '.join(sorted(lacking))}"
    if is_kept and _folder_of(mount) != kept[KEPT[point]]:  # control: container-kept-by-docker
        return f"{point} is not what Docker keeps for a container"
    return None


def docker_places(mountinfo: bytes) -> dict[str, Place]:
    """Return where Docker keeps what it mounts at `KEPT`, by the last part of its path, from our own mounts.

    Raises `ValueError`.
    """
    mounts = (mount for mount in _mounts(mountinfo) if mount.point in KEPT)
    kept = {KEPT[mount.point]: place for mount in mounts if (place := _folder_of(mount))}
    if lacking := sorted(set(KEPT.values()) - set(kept)):
        raise ValueError(f"what is mounted here is not what Docker keeps: no {', '.join(lacking)}")
    return kept


def _folder_of(mount: _Mount) -> Place | None:
    """Return `FOLDER` of a mount of `FOLDER/NAME/_data`, or `FOLDER/ID/hosts`; None if it is not what `KEPT` says."""
    folder, *_, last = mount.place.path.rsplit("/", 2)
    return Place(mount.place.device, folder) if last == KEPT[mount.point] else None


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


def _of_hosts(hosts: bytes) -> str | None:
    for line in hosts.split(b"\n"):
        # As the C library reads it: six bytes are space, and only `\n` ends a line.
        address, *names = [part.decode(errors="replace") for part in line.partition(b"#")[0].split()] or [""]
        for name in names:
            if (address, name) not in LOCAL and not OF_CONTAINER.fullmatch(name):  # control: container-hosts
                return f"its /etc/hosts leads {name[:200]!r} to {address[:200]!r}"
    return None


def mount_points(mountinfo: bytes) -> frozenset[str]:
    """Return every mount point below the root: the files there are not those of the image."""
    return frozenset(mount.point for mount in _mounts(mountinfo) if mount.point != "/")


def _mounts(mountinfo: bytes) -> list[_Mount]:
    # The kernel escapes the space and the end of a line in a path, and no other space.
    lines = [line.split(" ") for line in mountinfo.decode(errors="replace").split("\n") if line]
    return [
        _Mount(fields[4], frozenset(fields[5].split(",")), fields[fields.index("-") + 1], Place(fields[2], fields[3]))
        for fields in lines
    ]
