"""Closes a process to other processes of the same user: those launched from here, and the one with the domain's keys.

If a user starts a process from a file that the user may not read, the kernel closes it from the first instruction on
(execve(2), ptrace(2)).  So launched processes run a copy of the interpreter in memory, which no user may read
(`Interpreter`).

The process that holds the trust domain's keys was started by its user.  If it closed itself (`PR_SET_DUMPABLE`), it
would be open until then, and a process that opened `/proc/PID/mem` in that time could read every later key.  So it
replaces itself: execve(2) of such a copy gives it new memory.  A descriptor that was opened before refers to the old
memory, which is gone.  A process that can write to the first program determines the second one.  So `start/run` calls
`continue_closed` before anything else, and this module imports little.
"""

import ctypes
import errno
import os
import struct
import sys

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
        import hashlib  # noqa: PLC0415 - takes time, which `continue_closed` must not lose

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
_CAPABILITY_VERSION = 0x20080522  # <linux/capability.h>: version 3, two words for each set
_READS_ANY_FILE = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
_READABLE = 0o444
_OPEN_TO_THE_USER = 1  # SUID_DUMP_USER

_LOAD_CODE = ("LD_", "GCONV_PATH", "OPENSSL_")
"""Prefixes of the variables by which the loader, the C library and OpenSSL load code or a configuration."""

NEXT_STEP = "Start it by `make demo` or `make up`, which run it closed from its first instruction."


class NotClosedError(Exception):
    """Other processes can read this one's memory, so it makes no keys.  The text says why, and what to do."""


def continue_closed() -> None:
    """Return in a process that was closed from its start: this one, or one with the same command that replaces it.

    The new program has the same process id, descriptors and arguments, and the same environment without `_LOAD_CODE`.
    Call it before any key is made, and early, because everything is imported again.  If it is not possible, the process
    exits with a message.
    """
    try:
        if not _started_from_unreadable_file():
            _reexecute()  # control: process-replaced
        check_closed()  # control: process-closed
    except NotClosedError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"This system cannot run a program from a file that its user may not read: {error}.")


def _reexecute() -> None:
    _make_undumpable()  # as early as possible, because a process that traces this one still does so after execve
    interpreter = Interpreter(sys.executable)
    # control: environment-loads-no-code
    harmless = {name: value for name, value in os.environ.items() if not name.startswith(_LOAD_CODE)}
    give_up_reading_any_file()
    os.execve(interpreter.fd, [sys.executable, *sys.orig_argv[1:]], harmless | interpreter.env)  # noqa: S606


def _make_undumpable() -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0):
        raise OSError(ctypes.get_errno(), "this process cannot be made undumpable")


def check_closed() -> None:
    """Raise `NotClosedError` unless the kernel closed this process from its first instruction on."""
    if not _started_from_unreadable_file():
        raise NotClosedError(f"No keys are made in a process that others could open at its start.  {NEXT_STEP}")
    if ctypes.CDLL(None).prctl(_PR_GET_DUMPABLE) == _OPEN_TO_THE_USER:
        raise NotClosedError("The kernel left this process open to others: is fs.suid_dumpable 1?  Set it to 0.")
    if tracer := _tracer():
        raise NotClosedError(f"Process {tracer} traces this one and could take its keys.  End it, and start again.")


def _started_from_unreadable_file() -> bool:
    return not os.stat("/proc/self/exe").st_mode & _READABLE


def _tracer() -> int:
    """Return the id of the process that traces this one (ptrace(2)), or 0.  Tracing continues after execve."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("TracerPid:"))


def give_up_reading_any_file() -> None:
    """Make file modes apply to root as well, until execve restores its capabilities (capabilities(7)).

    The kernel closes a process only if its user may not read the file.  Raises `OSError`.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    sets = ctypes.create_string_buffer(24)  # effective, permitted, inheritable; the lower words first
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "the capabilities of this process cannot be read")
    effective, *others = struct.unpack("6I", sets.raw)
    if libc.capset(header, struct.pack("6I", effective & ~_READS_ANY_FILE, *others)):
        raise OSError(ctypes.get_errno(), "the capabilities of this process cannot be changed")
