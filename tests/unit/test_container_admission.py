# ruff: noqa: S108 - folders of a container
"""Which processes attestation examines at all: each fact of the kernel that excludes one, alone.

Rows 200 to 203 and 426 to 428 of the attack table have more of them.
"""

import pytest

from authorities.attestation.containers.admission import DOCKER, Facts, Own, Place, kept_places, mount_points, problem
from tests.support.container import COMMAND, ENVIRON, HOSTS, MOUNTS, SAME, STATUS

KEPT = {"_data": Place("254:0", "/v")} | dict.fromkeys(("hostname", "hosts", "resolv.conf"), Place("254:0", "/c"))
OWN = Own(SAME, KEPT)


def told(
    status: str = STATUS, mounts: str = MOUNTS, cmdline: bytes = COMMAND, environ: bytes = ENVIRON, hosts: bytes = HOSTS
) -> str | None:
    return problem(Facts(status, mounts.encode(), cmdline, environ, hosts), OWN)


@pytest.mark.parametrize(
    ("was", "instead", "why"),
    [
        ("NSpid:	7089	1", "NSpid:	1", "not the main process"),  # the machine's first process
        *[(f"Cap{name}:	0", f"Cap{name}:	1", "capabilities") for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")],
        ("47823	47823\nNSpid", "47823	0\nNSpid", "runs as root"),
    ],
)
def test_a_process_with_other_rights_is_not(was: str, instead: str, why: str) -> None:
    assert why in str(told(status=STATUS.replace(was, instead, 1)))


@pytest.mark.parametrize(
    ("was", "instead", "why"),
    [
        ("/data rw", "/data/other rw", "mounted at /data/other"),
        ("/data rw", "/app/zerotrust ro", "mounted at /app/zerotrust"),
        ("/dev/pts rw", "/dev/../usr rw", "mounted at /dev/../usr"),
        ("/etc/hosts rw", "/etc/ld.so.preload rw", "mounted at /etc/ld.so.preload"),
        ("/proc/sys ro", "/procfs rw", "mounted at /procfs"),
        *[
            (f"{point} rw,nosuid,nodev,noexec", f"{point} rw,{options}", f"{point} is mounted without {missing}")
            for point in ("/tmp", "/dev/shm")
            for options, missing in (("nosuid,nodev", "noexec"), ("nosuid,noexec", "nodev"), ("relatime", "nodev, noe"))
        ],
        ("/proc rw,nosuid - proc", "/proc rw,nosuid - ext4", "/proc is ext4"),
        ("/proc/sys ro - proc", "/proc/sys ro - fuse.lxcfs", "/proc/sys is fuse.lxcfs"),
        ("ro,nosuid,nodev,noexec - sysfs", "ro - overlay", "/sys is overlay"),
        ("/dev rw - tmpfs", "/dev rw - devtmpfs", "/dev is devtmpfs"),
        ("/dev/shm rw,nosuid,nodev,noexec - tmpfs", "/dev/shm rw,nosuid,nodev,noexec - nfs4", "/dev/shm is nfs4"),
        ("254:0 /v/data/_data", "254:0 /v", "/data is not what Docker keeps"),
        ("254:0 /v/data/_data", "254:0 /v/data/_data/inside", "/data is not what Docker keeps"),
        ("254:0 /v/data/_data", "254:0 /v/data/_data/x/_data", "/data is not what Docker keeps"),
        ("254:0 /v/data/_data", "8:1 /v/data/_data", "/data is not what Docker keeps"),
        ("0:69 /sys /proc/sys ro - proc", "0:22 /x /proc/sys ro - tmpfs", "/proc/sys is tmpfs /x"),
        *[
            (f"254:0 /c/1f/{name}", f"254:0 {other}", f"/etc/{name} is not what Docker keeps")
            for name in ("hostname", "hosts", "resolv.conf")
            for other in (f"/home/mallory/{name}", f"/{name}", "/c/1f/config.v2.json", "/v/mallory/_data")
        ],
        # A folder whose name is the rest of a line, for somebody to whom these are spaces.
        ("/tmp rw,nosuid,nodev,noexec", "/usr\x1f/ /tmp rw,nosuid,nodev,noexec", "mounted at /usr"),
        ("0:80 / /tmp", "0:22 /\x0b/tmp\x0bnosuid,nodev,noexec\x0b-\x0btmpfs /usr", "mounted at /usr"),
        ("0:80 / /tmp", "0:22 /\r/tmp /usr", "mounted at /usr"),
        ("254:0 /v/identity/_data", "0:99 /", "/run/identity is not what Docker keeps"),
    ],
)
def test_one_with_other_mounts_is_not(was: str, instead: str, why: str) -> None:
    assert was in MOUNTS
    assert why in str(told(mounts=MOUNTS.replace(was, instead, 1)))


@pytest.mark.parametrize("variable", ["LD_PRELOAD=/data/x.so", "PYTHONPATH=/data", "OPENSSL_CONF=/data/c", "XZT_A=1"])
def test_one_with_a_variable_that_may_load_code_is_not(variable: str) -> None:
    assert variable.partition("=")[0] in str(told(environ=ENVIRON + variable.encode() + b"\0"))


@pytest.mark.parametrize(
    "entry",
    [
        "10.0.0.9 registry.authority.agents.example",
        "10.0.0.9 1f2e3d4c5b6a keycloak",  # a second name in a line
        "10.0.0.9 localhost",
        "127.0.0.1 registry.authority.agents.example",  # Docker writes `--hostname` so
        "10.0.0.9 1f2e3d4c5b6a.example",
        "10.0.0.9 host.docker.internal",
        *[f"10.0.0.9\tip6-a{other}registry.authority.agents.example" for other in "\0\x1f\x85\u2028"],
        "10.0.0.9\v1f2e3d4c5b6a\vkeycloak",
    ],
)
def test_one_that_reaches_a_name_elsewhere_is_not(entry: str) -> None:
    assert "its /etc/hosts leads" in str(told(hosts=HOSTS + entry.encode()))


def test_what_docker_writes_into_a_hosts_file_is_no_problem() -> None:
    written = b"# of Docker\n\nfe00::0 ip6-localnet\nff02::1 ip6-allnodes # all\n172.19.0.4 1f2e3d4c5b6a\n"
    assert told(hosts=HOSTS + written) is None


def test_attestations_own_mounts_say_where_docker_keeps_what_it_mounts() -> None:
    assert kept_places(MOUNTS.encode(), DOCKER) == KEPT
    with pytest.raises(ValueError, match="is not what Docker keeps: no _data, hosts"):
        kept_places(MOUNTS.replace("/_data", "").replace("/hosts", "/mine").encode(), DOCKER)


def test_what_is_mounted_is_not_of_the_image() -> None:
    assert mount_points(MOUNTS.encode()) >= {"/data", "/run/identity", "/etc/hosts", "/proc"}
    assert "/" not in mount_points(MOUNTS.encode())


@pytest.mark.parametrize(
    ("cmdline", "fits"),
    [
        (COMMAND + b"party\0suspend\0agent/reader\0", True),  # for the party's own code, which is measured
        (COMMAND.replace(b"/app", b"/tmp"), False),
        (COMMAND.replace(b"-I\0", b""), False),
        (COMMAND.replace(b"/app", b"-c\0import os\0/app"), False),
        (b"sh\0" + COMMAND, False),
    ],
)
def test_what_follows_the_command_is_free_and_the_command_is_not(cmdline: bytes, fits: bool) -> None:
    assert (told(cmdline=cmdline) is None) is fits
