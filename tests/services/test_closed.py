"""The process that holds the trust domain's keys, and other processes of the same user."""

import asyncio
import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from authorities.attestation.local import authority as module
from authorities.attestation.process import closed
from tests.support.launched import PROJECT, locked, project
from tests.support.spy import ORDINARY
from zerotrust.authority.files.snapshot_files import load_registry

PTRACE_SEIZE = 0x4206  # <linux/ptrace.h>


@pytest.fixture
def place() -> Iterator[Path]:
    with project() as place:
        locked(load_registry(place / "project/registry.yaml"), place / "project")
        yield place


async def started(*program: str, **how: Any) -> asyncio.subprocess.Process:
    pipe = subprocess.PIPE
    return await asyncio.create_subprocess_exec(*program, cwd=PROJECT, stdin=pipe, stdout=pipe, **how)


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout
    return (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()


def say(process: asyncio.subprocess.Process, text: str = "") -> None:
    assert process.stdin
    process.stdin.write(f"{text}\n".encode())


GOES_ON = """
import sys
print("open", flush=True)
sys.stdin.readline()
from authorities.attestation.process.closed import close_process
close_process()
print("closed", flush=True)
sys.stdin.readline()
"""

LOOK = """
import ctypes, os, sys

pid = sys.argv[1]
def refused(look):
    try:
        return not look()
    except PermissionError:
        return True

def opened(name):
    return os.open(f"/proc/{pid}/{name}", os.O_RDONLY)

pidfd, seen = os.pidfd_open(int(pid)), {}
for name in "mem", "maps", "environ", "auxv", "pagemap", "fd/0", "exe", "cwd":
    seen[name] = refused(lambda: os.readlink(f"/proc/{pid}/{name}") if name in {"fd/0", "exe", "cwd"} else opened(name))
libc = ctypes.CDLL(None, use_errno=True)
seen["pidfd_getfd"] = libc.syscall(438, pidfd, 0, 0) == -1
seen["ptrace"] = libc.ptrace(0x4206, int(pid), 0, 0) != 0
print(sorted(name for name, was_refused in seen.items() if not was_refused), flush=True)
"""


async def test_no_other_process_of_its_user_sees_into_a_process_that_has_closed_itself() -> None:
    target = await started(sys.executable, "-c", GOES_ON, **ORDINARY)
    for state in "open", "closed":
        assert await line(target) == state
        look = await started(sys.executable, "-I", "-c", LOOK, str(target.pid), **ORDINARY)
        output, _ = await look.communicate()
        assert (output == b"[]\n") == (state == "closed")
        assert (b"'maps', 'mem'" in output) == (state == "open")
        say(target)
    await target.communicate(b"\n")


# Who makes keys


def test_no_keys_are_made_in_a_process_that_was_started_like_any_other(place: Path) -> None:
    registry = load_registry(place / "project/registry.yaml")
    with pytest.raises(closed.NotClosedError, match=r"others of its user could open\.  Start it by `make demo`"):
        module.Authority(registry, locked(registry, place / "project"), place / "project", place / "run", port=0)


CHECKS = """
import sys
print("open", flush=True)
sys.stdin.readline()
from authorities.attestation.process.closed import check_closed, close_process
close_process()
check_closed()
print("makes keys", flush=True)
"""


async def test_a_process_that_is_traced_makes_no_keys() -> None:
    for traced in False, True:
        target = await started(sys.executable, "-c", CHECKS, stderr=subprocess.PIPE)
        assert await line(target) == "open"
        if traced:
            assert ctypes.CDLL(None).ptrace(PTRACE_SEIZE, target.pid, 0, 0) == 0
        output, errors = await target.communicate(b"\n")
        assert output == (b"" if traced else b"makes keys\n")
        assert (f"Process {os.getpid()} traces this one".encode() in errors) == traced
