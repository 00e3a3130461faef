"""Identifies processes by what the kernel says: a child, and the peer of a Unix connection."""

import errno
import os
import re
import resource
import select
import socket
import struct
from pathlib import Path
from typing import NamedTuple

ProcessKey = tuple[int, int]

# The inode of a pidfd identifies a process uniquely.  Before kernel 6.9, all pidfds have the same inode.
PIDFS = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2]) >= (6, 9)
SO_PEERPIDFD = 77  # <asm-generic/socket.h>; Python has no name for it yet

_FLAGS, _START_TIME = 9 - 3, 22 - 3  # fields of proc(5), counted from the third, which follows the name
_EXITING = 4  # PF_EXITING of <linux/sched.h>


def allow_open_files() -> None:
    """Raise this process's limit of open files, which its children inherit, to this user's maximum.

    Each connection that a stranger opens takes a descriptor, and without one no file can be opened and measured.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def key_of_child(pid: int, pidfd: int) -> ProcessKey:
    """Return a key that no other process will have: the pidfd's inode, or the pid and its start time."""
    return (os.fstat(pidfd).st_ino, 0) if PIDFS else (pid, _start_time(pid))


class Peer(NamedTuple):
    """The process at the other end of a Unix connection.  The receiver closes the pidfd."""

    pid: int
    pidfd: int
    key: ProcessKey


def pid_of_peer(connection: socket.socket) -> int:
    """Return the id of the process that opened this Unix connection, which another one may have by now.

    It is 0 for a process that cannot be seen from here.
    """
    pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(pid)


def peer(connection: socket.socket) -> Peer:
    """Return the process that opened this Unix connection.

    Raises `OSError` if that process has ended, or cannot be seen from here.
    """
    pid = pid_of_peer(connection)
    if pid == 0:
        raise ProcessLookupError("the asking process cannot be seen from here: `pid: host` is missing")
    try:
        pidfd = connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    except OSError as error:
        if error.errno != errno.ENOPROTOOPT:
            raise
        pidfd = os.pidfd_open(pid)  # before kernel 6.5; the pid may have been reused
    return Peer(pid, pidfd, (os.fstat(pidfd).st_ino, 0) if PIDFS else (pid, _start_time(pid)))


def process_of(pidfd: int) -> Peer:
    """Return the process of a pidfd that another process has opened.

    Raises `OSError` if it has ended, cannot be seen from here, or if this is no pidfd.
    """
    found = re.search(r"^Pid:\t(\d+)$", Path(f"/proc/self/fdinfo/{pidfd}").read_text(), re.MULTILINE)
    if not found or not (pid := int(found[1])):  # -1 has no match
        raise ProcessLookupError("the process has ended, or cannot be seen from here: `hostPID: true` is missing")
    return Peer(pid, pidfd, key_of_child(pid, pidfd))


def key_of_peer(connection: socket.socket) -> ProcessKey:
    """Return the key of the process that opened this Unix connection.

    Raises `OSError` if that process has ended.
    """
    found = peer(connection)
    os.close(found.pidfd)
    return found.key


def is_ending(pidfd: int, stat: Path) -> bool:
    """Return whether a process has ended, or has begun to: the kernel takes its files away before it reports the end.

    `stat` is its `/proc/PID/stat`.  Raises `OSError` if that cannot be read.
    """
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0)) or bool(int(_fields(stat)[_FLAGS]) & _EXITING)


def _start_time(pid: int) -> int:
    return int(_fields(Path(f"/proc/{pid}/stat"))[_START_TIME])


def _fields(stat: Path) -> list[str]:
    # From the end of the name, which may contain spaces and parentheses.
    return stat.read_text(errors="replace").rpartition(")")[2].split()
