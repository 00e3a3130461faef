"""What a child process is given, when it ends, and what its log says last."""

import ctypes
import os
import signal
from pathlib import Path


def in_memory(text: str) -> int:
    """Return a descriptor of a file that exists in memory only, which a child process can inherit."""
    file = os.memfd_create("configuration", os.MFD_CLOEXEC)
    os.write(file, text.encode())
    return file


def end_with(parent: int) -> None:
    """Run in the child before it becomes its program: the kernel ends it with its parent, even when that is killed."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before we asked
        os._exit(1)


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log, without the stack traces between them."""
    said = [line for line in log.read_text(errors="replace").splitlines() if not line.startswith(("\tat ", "\t..."))]
    return "\n".join(said[-lines:])
