"""The interpreter that launched processes run: a copy in memory, which nobody may read.

What the kernel starts from a file that its user may not read, it closes to other processes of that user from the first
instruction on (execve(2), ptrace(2)).  A process that shuts itself a moment later has been open for that moment, and
whoever opened its memory then reads it for ever.
"""

import errno
import os

_MFD_EXEC = 0x10  # <linux/memfd.h>, since Linux 6.3; Python has no name for it before 3.14
_EXECUTABLE_BY_ALL = 0o111


class Interpreter:
    """One copy, for as long as it is not closed."""

    def __init__(self, path: str) -> None:
        """Copy what lies at `path`.  Raises `OSError`."""
        with open(path, "rb") as program:
            content = program.read()
        # Some find their library by their own place, which is nowhere now: the folder that they would come to.
        found = os.path.realpath(f"{os.path.realpath(path)}/../../lib")
        self.env = {"LD_LIBRARY_PATH": found} if b"$ORIGIN" in content else {}
        writable = _in_memory()
        try:
            with os.fdopen(os.dup(writable), "wb") as file:
                file.write(content)
            self.fd = os.open(f"/proc/self/fd/{writable}", os.O_RDONLY | os.O_CLOEXEC)
            os.fchmod(writable, _EXECUTABLE_BY_ALL)
        finally:
            os.close(writable)  # what may still be written to is not run

    @property
    def digest(self) -> str:
        """SHA-256 of what runs from it."""
        import hashlib  # noqa: PLC0415 - takes time, and who calls `go_on_closed` has none to lose

        return hashlib.sha256(os.pread(self.fd, os.fstat(self.fd).st_size, 0)).hexdigest()

    @property
    def path(self) -> str:
        """Where a child that was given `fd` finds it."""
        return f"/proc/self/fd/{self.fd}"

    def close(self) -> None:
        """Let it go; what runs from it runs on."""
        os.close(self.fd)


def _in_memory() -> int:
    try:
        return os.memfd_create("python", os.MFD_CLOEXEC | _MFD_EXEC)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return os.memfd_create("python", os.MFD_CLOEXEC)  # an older kernel: all of them can be run
