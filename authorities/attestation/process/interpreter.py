"""The interpreter that launched processes run: a copy in memory, which no user may read.

The kernel closes a process that it starts from an unreadable file to other processes of that user, from the first
instruction on (execve(2), ptrace(2)).  A process that closes itself a moment later was open for that moment, and a
process that opened its memory then can read it for ever.
"""

import errno
import os

_MFD_EXEC = 0x10  # <linux/memfd.h>, since Linux 6.3; Python has no name for it before 3.14
_EXECUTABLE_BY_ALL = 0o111


class Interpreter:
    """One copy, until it is closed."""

    def __init__(self, path: str) -> None:
        """Copy the file at `path`.  Raises `OSError`."""
        with open(path, "rb") as program:
            content = program.read()
        # Some find their library relative to their own path, which a copy in memory does not have.
        found = os.path.realpath(f"{os.path.realpath(path)}/../../lib")
        self.env = {"LD_LIBRARY_PATH": found} if b"$ORIGIN" in content else {}
        writable = _in_memory()
        try:
            with os.fdopen(os.dup(writable), "wb") as file:
                file.write(content)
            self.fd = os.open(f"/proc/self/fd/{writable}", os.O_RDONLY | os.O_CLOEXEC)
            os.fchmod(writable, _EXECUTABLE_BY_ALL)  # control: interpreter-unreadable
        finally:
            os.close(writable)  # a file that is open for writing cannot be run

    @property
    def digest(self) -> str:
        """SHA-256 of the copy."""
        import hashlib  # noqa: PLC0415 - takes time, which `continue_closed` must not lose

        return hashlib.sha256(os.pread(self.fd, os.fstat(self.fd).st_size, 0)).hexdigest()

    @property
    def path(self) -> str:
        """Its path in a child that inherits `fd`."""
        return f"/proc/self/fd/{self.fd}"

    def close(self) -> None:
        """Release the copy; processes that run from it continue."""
        os.close(self.fd)


def _in_memory() -> int:
    try:
        return os.memfd_create("python", os.MFD_CLOEXEC | _MFD_EXEC)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return os.memfd_create("python", os.MFD_CLOEXEC)  # an older kernel, where every such file is executable
