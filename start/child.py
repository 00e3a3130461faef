"""Child processes: files in memory for them, their end with ours, waiting while they work, and the end of their log."""

import asyncio
import ctypes
import os
import re
import signal
import struct
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import Any, TypeVar

from registration.run_lock import RunError

T = TypeVar("T")

IDLE, WORK = 60, 6.0
"""A process makes no progress if within `IDLE` seconds it has computed, or waited for a processor or the disk, for less
than `WORK` seconds.  A starting process does one of these almost always, however busy the machine is.  A process that
waits, and tries again each second, does so for a few seconds of a hundred."""
LOOK = 1.0
"""Seconds between two looks at that."""
ASK = 0.05
"""Seconds between two questions whether it does what it was started for."""
_LINE = re.compile(r'^\S+ \S+ INFO +\[[^]]*\] (?:\([^)]*\) )?(.*)|^\{.*?"event": "((?:[^"\\]|\\.)*)"', re.MULTILINE)
LONGEST = 120
"""Characters of a log's line that is shown while a process starts."""


class NoProgress(Exception):
    """The process did not do what it was started for, and no longer works on it.  The text tells how that was seen."""


def create_memory_file(text: str) -> int:
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


_CAPABILITY_VERSION = 0x20080522  # <linux/capability.h>: version 3, two words for each set
_READS_ANY_FILE = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH


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


async def start_child(
    *command: str | Path,
    env: Mapping[str, str],
    folder: Path,
    log: Path,
    before: Callable[[int], None] = end_with,
    **more: Any,
) -> asyncio.subprocess.Process:
    """Start a program in a folder, with its output at the end of `log`, and Ctrl-C for us alone.

    `before`: runs in the child before the program does, with our process id.
    """
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *command,
            env=env,
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=partial(before, os.getpid()),
            **more,
        )


async def end(process: asyncio.subprocess.Process) -> None:
    """End a program at once."""
    if process.returncode is None:
        process.kill()  # what it leaves is not used again
    await process.wait()


async def wait_while_working(process_id: int, work: Coroutine[Any, Any, T], *others: int) -> T:
    """Await `work`, which waits for a process, for as long as it works, or one of those that it waits for; return what
    `work` returns.

    Raises `NoProgress` if they do nothing any more, and whatever `work` raises.
    """
    task, idle = asyncio.ensure_future(work), 0.0

    def worked() -> float:
        return sum(map(_work_time, (process_id, *others)))

    before = worked()
    try:
        while idle < IDLE:
            if (await asyncio.wait([task], timeout=LOOK))[0]:
                return task.result()
            idle += LOOK  # and no more, even if we were stopped ourselves for a while
            if any(map(_waits_for_disk, (process_id, *others))):
                before -= LOOK
            if (now := worked()) - before >= WORK:
                before, idle = now, 0.0
            before = min(before, now)  # a thread that has ended is not counted any more
    finally:
        task.cancel()
        await asyncio.wait([task])
    stopped = " and is stopped" if stat_of(process_id)[:1] == ["T"] else ""
    raise NoProgress(f"in {IDLE} s it has worked for {worked() - before:.1f} s{stopped} ({load_text()})")


async def wait_for_process(
    met: Callable[[], Awaitable[T]], name: str, process_id: int, ended: Callable[[], bool], log: Path, *others: int
) -> T:
    """Wait until a process has brought about that `met` returns something true; return that.

    `others`: processes that it waits for.  Raises `RunError` with the end of its log if the process ends before, or
    none of them makes progress.
    """

    async def asking() -> T | None:
        while not ended():
            if found := await met():
                return found
            await asyncio.sleep(ASK)
        return None

    why = ""
    try:
        if found := await wait_while_working(process_id, asking(), *others):
            return found
    except NoProgress as error:
        why = f" and makes no progress: {error}"
    raise RunError(f"{name} does not start{why}; the end of its log, {log}:\n{tail(log)}")


def stat_of(process_id: int | str) -> list[str]:
    """Return the fields of /proc/PID/stat from the third one on (proc(5)); none if the process has ended.

    Also of a thread: `PID/task/THREAD`.
    """
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _work_time(process_id: int) -> float:
    """Return for how many seconds a process has computed, with its children that have ended, and its threads have
    waited for a processor; the latter only where the kernel counts it.
    """
    waited = 0
    for thread in Path(f"/proc/{process_id}/task").glob("*/schedstat"):
        with suppress(OSError):  # it has ended
            waited += int(thread.read_text().split()[1])
    return sum(map(int, stat_of(process_id)[11:15])) / os.sysconf("SC_CLK_TCK") + waited / 1e9


def _waits_for_disk(process_id: int) -> bool:
    """Return whether a thread of a process waits for the disk at this moment; the kernel sums that up nowhere."""
    threads = Path(f"/proc/{process_id}/task").glob("*")
    return any(stat_of(f"{process_id}/task/{thread.name}")[:1] == ["D"] for thread in threads)


def load_text() -> str:
    """Return the load of this machine, in words."""
    return f"the load of this machine is {os.getloadavg()[0]:.0f}, on {os.cpu_count()} processors"


def describe_activity(log: Path) -> str:
    """Return the machine's load, and the last line of a log: a party's, or Keycloak's but for its warnings.

    Those of Keycloak are the same at each start.
    """
    text = log.read_text(errors="replace") if log.exists() else ""
    *_, last = "", *(keycloaks or event for keycloaks, event in _LINE.findall(text))
    return f"{load_text()}; its log: {shorten(last, LONGEST, placeholder=' …')}" if last else load_text()


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log, without the stack traces between them."""
    said = [line for line in log.read_text(errors="replace").splitlines() if not line.startswith(("\tat ", "\t..."))]
    return "\n".join(said[-lines:])
