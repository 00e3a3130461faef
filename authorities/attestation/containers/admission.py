"""Decides whether a process can be attested: the main process of a container that cannot change what it runs.  Pure.

All facts are the kernel's (proc(5)), except the hosts file, which Docker or the kubelet writes.  A user who may start
containers can lie about the command line and the environment, because a process can overwrite both.  With Docker, such
a user is root on this machine anyway; on Kubernetes, it is who may create pods in the parties' namespace.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

COMMAND = ["python", "-I", "-B", "-u", "/app"]
"""How the command of every party begins: the interpreter of the image, on the one folder with the party's code.  What
follows is for that code alone, as variables are."""
_NO_PROGRAMS = frozenset({"nosuid", "nodev", "noexec"})
LOCAL = {("127.0.0.1", "localhost"), ("::1", "localhost")}
_CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The contents of every container that Docker, or Kubernetes, starts for a party."""

    keeper: str
    """The owner of the files of `kept`."""
    settable: re.Pattern[str]
    """The variables that the base image, the keeper and our own file set.  None changes which code is loaded."""
    kinds: Mapping[str, str]
    """The mount points, each with the file systems that may be there, and their folder.

    If the container has the file system for itself, that folder is `/`; if it is mounted elsewhere, it can be any.
    """
    kept: dict[str, str]
    """The mount points of what the keeper has on the machine, each with the last part of its path there.

    Those paths are `FOLDER/ID/LAST`, and each has the same `FOLDER` as attestation's own.  Where the last part is "",
    it is the very folder that attestation has there.  No code is loaded from them.
    """
    options: Mapping[str, frozenset[str]]
    """The options that some mounts need."""
    names: re.Pattern[str]
    """Besides `LOCAL`, the names in the hosts file that the keeper writes: the container's, and some nobody calls."""


_SETTABLE = r"PATH|HOSTNAME|HOME|LANG|TERM|GPG_KEY|PYTHON_VERSION|PYTHON_SHA256|SPIFFE_ENDPOINT_SOCKET|ZT_[A-Z0-9_]+"
_KINDS = {
    r"/proc": r"proc /",
    # What is hidden there is covered with an empty folder in memory, or with `/dev/null`.
    r"/proc/.+": r"proc /.+|tmpfs /(null)?|devtmpfs /null",
    r"/sys": r"sysfs /",
    r"/sys/.+": r"tmpfs /|(sysfs|cgroup2?) /.*",
    r"/dev|/dev/shm|/tmp": r"tmpfs /",
    r"/dev/pts": r"devpts /",
    r"/dev/console": r"devpts /.+",
    r"/dev/mqueue": r"mqueue /",
}
DOCKER = Rules(
    keeper="Docker",
    settable=re.compile(_SETTABLE),
    kinds=_KINDS,
    kept={
        **dict.fromkeys(("/data", "/data/log", "/run/identity"), "_data"),
        **{f"/etc/{name}": name for name in ("hostname", "hosts", "resolv.conf")},
    },
    options={"/run/identity": frozenset({"ro"}), "/tmp": _NO_PROGRAMS, "/dev/shm": _NO_PROGRAMS},  # noqa: S108
    names=re.compile(r"[0-9a-f]{12}|ip6-[a-z]+"),
)
KUBERNETES = Rules(
    keeper="Kubernetes",
    # The address of the API server is in every container.  A party has no token for it, and does not call it.
    settable=re.compile(rf"{_SETTABLE}|KUBERNETES_(PORT|SERVICE)(_[A-Z0-9_]+)?"),
    kinds=_KINDS
    | {
        r"/dev/termination-log": r".+/pods/[^/]+/containers/[^/]+/[^/]+",
        # A volume's driver decides where it is, so any can be there: its content is the party's data, and no code.
        r"/data": r"(?!proc |sysfs ).+",
    },
    kept={
        "/etc/hosts": "etc-hosts",
        **{f"/etc/{name}": name for name in ("hostname", "resolv.conf")},
        "/run/identity": "",  # the folder with the socket of SPIRE's agent
    },
    # A pod cannot ask for `noexec` at its temporary folder.
    options={"/run/identity": frozenset({"ro"}), "/dev/shm": _NO_PROGRAMS},  # noqa: S108
    # The pod of a Deployment: with an alias, `hostAliases`, it could lead a party elsewhere.
    names=re.compile(r"[a-z0-9-]+-[a-z0-9]{6,10}-[a-z0-9]{5}|ip6-[a-z]+"),
)


@dataclass(frozen=True, slots=True)
class Facts:
    """The account of one process by proc(5), each field the content of the file of that name; and its `/etc/hosts`."""

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
    """Attestation's own state, with which it compares a party."""

    variables: Mapping[str, str]
    """Variables, each with the only value that a party may give it.  A party needs none of them here: what it cannot do
    without, it misses itself."""
    kept: Mapping[str, Place]
    """See `kept_places`."""
    rules: Rules = DOCKER


def problem(facts: Facts, own: Own) -> str | None:
    """Return why this process cannot be attested, or None."""
    return (
        problem_of_rights(facts.status)
        or next(filter(None, (_of_mount(one, own) for one in _mounts(facts.mountinfo))), None)
        or _of_start(facts.cmdline.decode(errors="replace"), facts.environ.decode(errors="replace"), own)
        or _of_hosts(facts.hosts, own.rules.names)
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
        return f"its root is {mount.kind}, and only overlay is known here: overlay2 of Docker or containerd"
    if "ro" not in mount.options:  # control: container-root-read-only
        return "its root is writable: read_only: true"
    return None


def _of_mount(mount: _Mount, own: Own) -> str | None:
    if mount.point == "/":
        return _of_root(mount)
    point, rules = mount.point, own.rules
    is_kept = point in rules.kept
    kinds = next((kinds for known, kinds in rules.kinds.items() if re.fullmatch(known, point)), None)
    if kinds is None and not is_kept:  # control: container-nothing-mounted
        return f"something is mounted at {point}"
    found = f"{mount.kind} {mount.place.path}"
    if kinds and not re.fullmatch(kinds, found):  # control: container-mount-kind
        return f"{point} is {found}: only {kinds} may be there"
    if lacking := rules.options.get(point, frozenset()) - mount.options:  # control: container-mount-options
        return f"{point} is mounted without {', '.join(sorted(lacking))}"
    if is_kept and _folder_of(mount, rules) != own.kept[rules.kept[point]]:  # control: container-kept-by-docker
        return f"{point} is not what {rules.keeper} keeps for a container"
    return None


def kept_places(mountinfo: bytes, rules: Rules) -> dict[str, Place]:
    """Return the folders of what `rules.kept` names, by the last part of the paths, from our own mounts.

    Raises `ValueError`.
    """
    mounts = (mount for mount in _mounts(mountinfo) if mount.point in rules.kept)
    kept = {rules.kept[mount.point]: place for mount in mounts if (place := _folder_of(mount, rules))}
    if lacking := sorted(set(rules.kept.values()) - set(kept)):
        raise ValueError(f"what is mounted here is not what {rules.keeper} keeps: no {', '.join(lacking)}")
    return kept


def _folder_of(mount: _Mount, rules: Rules) -> Place | None:
    """Return `FOLDER` of a mount, see `Rules.kept`; None if it is not what that says."""
    if not (last := rules.kept[mount.point]):
        return mount.place
    folder, *_, found = mount.place.path.rsplit("/", 2)
    return Place(mount.place.device, folder) if found == last else None


def _of_start(cmdline: str, environ: str, own: Own) -> str | None:
    command = cmdline.split("\0")[:-1]
    if command[: len(COMMAND)] != COMMAND:  # control: container-command
        return f"it was started as {' '.join(command)[:200]!r}"
    entries = [entry.partition("=")[::2] for entry in environ.split("\0") if entry]
    variables = dict(entries)
    if strange := sorted(
        name for name in variables if not own.rules.settable.fullmatch(name)
    ):  # control: container-environment
        return f"its environment has {', '.join(strange)[:200]!r}"
    if len(variables) != len(entries):  # of two with one name, Python takes the first  # control: container-once-set
        return "its environment has a variable twice"
    wrong = sorted(name for name, value in own.variables.items() if variables.get(name, value) != value)
    return f"its {wrong[0]} is not that of attestation" if wrong else None  # control: container-settings


def _of_hosts(hosts: bytes, known: re.Pattern[str]) -> str | None:
    for line in hosts.split(b"\n"):
        # As the C library reads it: six bytes are space, and only `\n` ends a line.
        address, *names = [part.decode(errors="replace") for part in line.partition(b"#")[0].split()] or [""]
        for name in names:
            if (address, name) not in LOCAL and not known.fullmatch(name):  # control: container-hosts
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
