"""Which process is this? The kernel's answer, for a child and for the other end of a connection."""

import os
import re
import resource
import socket
import struct
from pathlib import Path

ProcessKey = tuple[int, int]

# The inode of a pidfd names a process once and for all. Kernels before 6.9 give the same one to every pidfd.
PIDFS = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2]) >= (6, 9)
SO_PEERPIDFD = 77  # <asm-generic/socket.h>; Python has no name for it yet


def allow_open_files() -> None:
    """Let this process, and those it launches, have as many files open as this user may; for many, the limit is lower.

    Each connection that a stranger begins takes one, and what cannot be opened cannot be measured.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def key_of_child(pid: int, pidfd: int) -> ProcessKey:
    """Return what no other process will have: the pidfd's inode, or else the pid and when it started."""
    return (os.fstat(pidfd).st_ino, 0) if PIDFS else (pid, _start_time(pid))


def key_of_peer(connection: socket.socket) -> ProcessKey:
    """Return the key of the process that opened this Unix connection.

    Raises `OSError` when the kernel cannot say, because that process is gone.
    """
    if not PIDFS:
        pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return pid, _start_time(pid)
    pidfd = connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    try:
        return os.fstat(pidfd).st_ino, 0
    finally:
        os.close(pidfd)


def _start_time(pid: int) -> int:
    # Field 22 of proc(5), counted from behind the name, which may hold blanks and brackets.
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
