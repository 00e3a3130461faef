"""Containers as attestation sees them: a `/proc` made of files, and for each container a process that only sleeps."""

import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from authorities.attestation.containers.admission import DOCKER
from authorities.attestation.containers.attested import Containers, Image
from authorities.attestation.containers.image import ImageFiles
from authorities.attestation.containers.settings import OF_POLICY, OF_REGISTRY
from authorities.attestation.process.peers import Peer
from authorities.attestation.verifier.drift import Drift

STATUS = """\
Name:	python
Uid:	47823	47823	47823	47823
NSpid:	7089	1
CapInh:	0000000000000000
CapPrm:	0000000000000000
CapEff:	0000000000000000
CapBnd:	0000000000000000
CapAmb:	0000000000000000
NoNewPrivs:	1
Seccomp:	2
"""
MOUNTS = """\
520 430 0:66 / / ro,relatime master:207 - overlay overlay ro,lowerdir=/l/A:/l/B
521 520 0:69 / /proc rw,nosuid - proc proc rw
522 521 0:69 /sys /proc/sys ro - proc proc rw
523 520 0:71 / /dev rw - tmpfs tmpfs rw
524 523 0:72 / /dev/pts rw - devpts devpts rw
525 520 254:0 /c/1f/hosts /etc/hosts rw - ext4 /dev/vda rw
531 520 254:0 /c/1f/hostname /etc/hostname rw - ext4 /dev/vda rw
532 520 254:0 /c/1f/resolv.conf /etc/resolv.conf rw - ext4 /dev/vda rw
526 520 254:0 /v/data/_data /data rw,relatime - ext4 /dev/vda rw
527 520 0:80 / /tmp rw,nosuid,nodev,noexec - tmpfs tmpfs rw
528 520 254:0 /v/identity/_data /run/identity ro,relatime - ext4 /dev/vda rw
529 523 0:81 / /dev/shm rw,nosuid,nodev,noexec - tmpfs shm rw
530 520 0:82 / /sys ro,nosuid,nodev,noexec - sysfs sysfs ro
"""
HOSTS = b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n172.20.0.5\t1f2e3d4c5b6a\n"
STAT, EXITING = b"7089 (a (name) ) S 1 1 1 0 -1 4194560 9", b"7089 (python) S 1 1 1 0 -1 4194564 9"
COMMAND = b"python\0-I\0-B\0-u\0/app\0"
ENVIRON = b"PATH=/usr/local/bin:/usr/bin\0HOSTNAME=1f\0ZT_ISSUER=https://issuer\0SPIFFE_ENDPOINT_SOCKET=unix:/s\0"
SAME = {"PATH": "/usr/local/bin:/usr/bin", "ZT_ISSUER": "https://issuer", "ZT_REGISTRY": "https://registry"}
SAME |= OF_REGISTRY | OF_POLICY


class Machine:
    """A machine on which containers of a reader and a writer run, each with a package of its own."""

    mounts, environ, hosts, same, rules = MOUNTS, ENVIRON, HOSTS, SAME, DOCKER
    belongs: Callable[[int, str], Awaitable[None]] | None = None

    def __init__(self, proc: Path) -> None:
        self.proc, self.now, self.asking = proc, 1000.0, 0
        self._sleeping: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, code: str = "reader") -> int:
        process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
        self._sleeping[process.pid] = process
        folder = self.proc / str(process.pid)
        (folder / "root/app").mkdir(parents=True)
        (folder / "root/usr").mkdir()
        (folder / "root/etc").mkdir()
        (folder / "root/usr/libc.so").write_text("libc")
        (folder / "root/app/main.py").write_text(code)
        (folder / "root/app/packages/client").mkdir(parents=True)
        (folder / "root/app/packages/client/__init__.py").write_text("client")
        for name, content in {
            "status": STATUS.encode(),
            "mountinfo": self.mounts.encode(),
            "stat": STAT,
            "cmdline": COMMAND,
            "environ": self.environ,
            "root/etc/hosts": self.hosts,
        }.items():
            (folder / name).write_bytes(content)
        self.asking = process.pid
        return process.pid

    def file(self, name: str, pid: int | None = None) -> Path:
        return self.proc / str(pid or self.asking) / name

    def end(self, pid: int) -> None:
        process = self._sleeping.pop(pid)
        process.communicate(b"\n")

    def end_all(self) -> None:
        for pid in list(self._sleeping):
            self.end(pid)

    def peer(self, _connection: socket.socket) -> Peer:
        return Peer(self.asking, os.pidfd_open(self.asking), (self.asking, 0))

    def containers(self, drift: Drift) -> Containers:
        """The table of attested containers, for which this is the kernel."""
        pattern, found = self.proc / "built", ImageFiles().look
        (self.proc / "self").mkdir()
        (self.proc / "self/mountinfo").write_text(self.mounts)
        for name in ("reader", "writer"):
            (pattern / name / "app").mkdir(parents=True)
            (pattern / name / "app/main.py").write_text(name)
            (pattern / name / "app/packages/client").mkdir(parents=True)
            (pattern / name / "app/packages/client/__init__.py").write_text("client")
        (pattern / "base/usr").mkdir(parents=True)
        (pattern / "base/usr/libc.so").write_text("libc")
        return Containers(
            [
                Image(f"agent/{name}", f"spiffe://agents.example/agent/{name}", found(str(pattern / name)))
                for name in ("reader", "writer")
            ],
            found(str(pattern / "base")),
            same=self.same,
            rules=self.rules,
            drift=drift,
            log=lambda *_, **__: None,
            process=self.peer,
            clock=lambda: self.now,
            proc=self.proc,
            belongs=self.belongs,
        )
