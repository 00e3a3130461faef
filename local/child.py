"""What a child process is given, when it ends, how long its start is awaited, and what its log says last."""

import asyncio
import ctypes
import os
import re
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from textwrap import shorten
from typing import TypeVar

from local.alone import DemoError

T = TypeVar("T")

SECONDS = 900
"""For a start: Keycloak needs a quarter of a minute, and many times that on a busy machine."""
ASK = 0.05
"""Seconds between two questions whether it does what it was started for."""
LONGEST = 120
"""Characters of a log's line that is shown while a process starts."""


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


async def until_it_does(met: Callable[[], Awaitable[T]], name: str, ended: Callable[[], bool], log: Path) -> T:
    """Return what `met` returns, once that is true, which a process has to bring about.

    Raises `DemoError` with the end of its log if the process ends before, or after `SECONDS`.
    """
    why = ""
    try:
        async with asyncio.timeout(SECONDS):
            while not ended():
                if found := await met():
                    return found
                await asyncio.sleep(ASK)
    except TimeoutError:
        why = f" within {SECONDS} s ({load()})"
    raise DemoError(f"{name} does not start{why}; the end of its log, {log}:\n{tail(log)}")


def load() -> str:
    """Return the load of this machine, in words."""
    return f"the load of this machine is {os.getloadavg()[0]:.0f}, on {os.cpu_count()} processors"


def doing(log: Path) -> str:
    """Return how busy the machine is, and what Keycloak's log says last, but for warnings: each start has the same."""
    text = log.read_text(errors="replace") if log.exists() else ""
    *_, last = "", *re.findall(r"^\S+ \S+ INFO +\[[^]]*\] (?:\([^)]*\) )?(.*)", text, re.MULTILINE)
    return f"{load()}; its log: {shorten(last, LONGEST, placeholder=' …')}" if last else load()


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log, without the stack traces between them."""
    said = [line for line in log.read_text(errors="replace").splitlines() if not line.startswith(("\tat ", "\t..."))]
    return "\n".join(said[-lines:])
