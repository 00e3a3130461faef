"""Closes a process to other processes of the same user: those launched from here, and the one with the domain's keys.

If a user starts a process from a file that the user may not read, the kernel closes it from the first instruction on
(execve(2), ptrace(2)).  So launched processes run a copy of the interpreter in memory, which no user may read
(`Interpreter`).

The process that holds the trust domain's keys was started by its user, and closes itself (`PR_SET_DUMPABLE`) before it
makes any.  No party runs by then.  `start/run` calls `close_process` before anything else, and this module imports
little: whoever opens its memory before can read it later, and could as well write to it.
"""

import ctypes
import errno
import os

_MFD_EXEC = 0x10  # <linux/memfd.h>, since Linux 6.3; Python has no name for it before 3.14
_EXECUTABLE_BY_ALL = 0o111


class Interpreter:
    """A copy of the interpreter in memory that no user may read, until it is closed."""

    def __init__(self, path: str) -> None:
        """Copy the file at `path`.  Raises `OSError`."""
        with open(path, "rb") as program:
            content = program.read()
        # Some interpreters find their library relative to their own path, which a copy in memory does not have.
        found = os.path.realpath(f"{os.path.realpath(path)}/../../lib")
        self.env = {"LD_LIBRARY_PATH": found} if b"$ORIGIN" in content else {}
        writable = _create_memory_file()
        try:
            with os.fdopen(os.dup(writable), "wb") as file:
                file.write(content)
            self.fd = os.open(f"/proc/self/fd/{writable}", os.O_RDONLY | os.O_CLOEXEC)
            os.fchmod(writable, _EXECUTABLE_BY_ALL)  # control: interpreter-unreadable
        finally:
            os.close(writable)  # a file that is open for writing cannot be run

    @property
    def digest(self) -> str:
        import hashlib  # noqa: PLC0415 - takes time, which `close_process` must not lose

        return hashlib.sha256(os.pread(self.fd, os.fstat(self.fd).st_size, 0)).hexdigest()

    @property
    def path(self) -> str:
        """Its path in a child that inherits `fd`."""
        return f"/proc/self/fd/{self.fd}"

    def close(self) -> None:
        """Release the copy; processes that run from it continue."""
        os.close(self.fd)


def _create_memory_file() -> int:
    try:
        return os.memfd_create("python", os.MFD_CLOEXEC | _MFD_EXEC)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return os.memfd_create("python", os.MFD_CLOEXEC)  # an older kernel, where every such file is executable


_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4  # <sys/prctl.h>
_OPEN_TO_THE_USER = 1  # SUID_DUMP_USER

NEXT_STEP = "Start it by `make demo` or `make up`, which close it before anything else."


class NotClosedError(Exception):
    """Other processes can read this one's memory, so it makes no keys.  The text says why, and what to do."""


def close_process() -> None:
    """Close this process to others of its user.  Call it early, before any key is made."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)  # control: process-closed


def check_closed() -> None:
    """Raise `NotClosedError` if the kernel opens this process to others of its user."""
    if ctypes.CDLL(None).prctl(_PR_GET_DUMPABLE) == _OPEN_TO_THE_USER:
        raise NotClosedError(f"No keys are made in a process that others of its user could open.  {NEXT_STEP}")
    if tracer := _tracer():
        raise NotClosedError(f"Process {tracer} traces this one and could take its keys.  End it, and start again.")


def _tracer() -> int:
    """Return the id of the process that traces this one (ptrace(2)), or 0."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("TracerPid:"))
