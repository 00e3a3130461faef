"""The process that holds the trust domain's keys, and other processes of the same user."""

import asyncio
import ctypes
import json
import os
import re
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
from authorities.attestation.process.closed import continue_closed
continue_closed()
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

early = {name: opened(name) for name in ("mem", "maps", "environ", "smaps")} if sys.argv[2] == "early" else {}
area = os.pread(early["maps"], 100, 0).split(b"-")[0] if early else b""
pidfd, seen = os.pidfd_open(int(pid)), {}
print("looked", flush=True)
sys.stdin.readline()
for name in "mem", "maps", "environ", "auxv", "pagemap", "fd/0", "exe", "cwd":
    seen[name] = refused(lambda: os.readlink(f"/proc/{pid}/{name}") if name in {"fd/0", "exe", "cwd"} else opened(name))
for name, file in early.items():
    seen[f"{name}, opened before"] = refused(lambda: os.pread(file, 100, int(area, 16) if name == "mem" else 0))
libc = ctypes.CDLL(None, use_errno=True)
seen["ptrace"] = libc.ptrace(0x4206, int(pid), 0, 0) != 0
seen["pidfd_getfd"] = libc.syscall(438, pidfd, 0, 0) == -1
print(sorted(name for name, was_refused in seen.items() if not was_refused), flush=True)
"""


async def test_nothing_that_was_opened_before_shows_the_memory_of_the_program_that_took_its_place() -> None:
    target = await started(sys.executable, "-c", GOES_ON, **ORDINARY)
    assert await line(target) == "open"
    early, late = [
        await started(sys.executable, "-I", "-c", LOOK, str(target.pid), when, **ORDINARY) for when in ("early", "late")
    ]
    assert [await line(early), await line(late)] == ["looked", "looked"]
    say(late)
    assert "'maps', 'mem'" in await line(late)  # as it is with any other process
    say(target)
    assert await line(target) == "open"  # the same command, from its beginning
    say(target)
    assert await line(target) == "closed"

    say(early)
    assert await line(early) == "[]"
    for process in target, early, late:
        await process.communicate(b"\n")


async def test_it_goes_on_as_the_same_process_with_the_same_arguments_and_all_variables_that_load_no_code() -> None:
    loading = {"LD_BIND_NOW": "1", "LD_PRELOAD": "", "GCONV_PATH": "/nowhere", "OPENSSL_CONF": "/nowhere"}
    show = """
import json, os, sys
first = [os.getpid(), sys.executable, sys.prefix, sys.argv, sys.flags.isolated, dict(os.environ)]
print(json.dumps(first), flush=True)
sys.path.append(sys.argv[1])
from authorities.attestation.process.closed import continue_closed
continue_closed()
sys.exit(7)
"""
    process = await started(sys.executable, "-I", "-c", show, str(PROJECT), "é", "", env={"A": "b", **loading})
    output, _ = await process.communicate()

    before, after = map(json.loads, output.splitlines())
    for environment in before[-1], after[-1]:
        environment.pop("LC_CTYPE", None)
        environment.pop("LD_LIBRARY_PATH", None)  # where the interpreter finds its library by its own place
    assert {name: before[-1].pop(name) for name in loading} == loading
    assert before == after
    assert process.returncode == 7


def test_where_the_system_cannot_do_it_the_process_ends_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(closed, "_make_undumpable", lambda: None)
    monkeypatch.setattr(os, "memfd_create", no_memory)
    with pytest.raises(SystemExit, match=r"a file that its user may not read: .*Permission denied"):
        closed.continue_closed()


# Who makes keys


def test_no_keys_are_made_in_a_process_that_was_started_like_any_other(place: Path) -> None:
    registry = load_registry(place / "project/registry.yaml")
    with pytest.raises(closed.NotClosedError, match=r"could open at its start\.  Start it by `make demo`"):
        module.Authority(registry, locked(registry, place / "project"), place / "project", place / "run", port=0)


CHECKS = """
import sys
print("open", flush=True)
sys.stdin.readline()
from authorities.attestation.process import closed
closed.check_closed = lambda: None
closed.continue_closed()
import importlib
try:
    importlib.reload(closed).check_closed()
    print("makes keys", flush=True)
except closed.NotClosedError as error:
    print(error, flush=True)
"""


async def test_a_process_that_is_traced_makes_no_keys() -> None:
    """Who has attached itself before is not got rid of by execve."""
    for traced in False, True:
        target = await started(sys.executable, "-c", CHECKS)
        assert await line(target) == "open"
        if traced:
            assert ctypes.CDLL(None).ptrace(PTRACE_SEIZE, target.pid, 0, 0) == 0
        say(target)
        assert await line(target) == "open"
        say(target)
        told = await line(target)
        assert told.startswith(f"Process {os.getpid()} traces this one") if traced else told == "makes keys"
        await target.communicate()


def test_a_kernel_that_leaves_such_a_process_open_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed, "_started_from_unreadable_file", lambda: True)
    if ctypes.CDLL(None).prctl(closed._PR_GET_DUMPABLE) != 1:
        pytest.skip("these tests run in a closed process")
    with pytest.raises(closed.NotClosedError, match=re.escape("fs.suid_dumpable")):
        closed.check_closed()


async def test_it_is_closed_already_while_it_gets_ready_to_begin_anew() -> None:
    """For a process that attached itself by then would stay attached."""
    program = """
import ctypes, os
os.execve = lambda *_: print(ctypes.CDLL(None).prctl(3), flush=True)
from authorities.attestation.process import closed
closed._reexecute()
"""
    process = await started(sys.executable, "-c", program)
    assert await line(process) == "0"
    await process.communicate()
