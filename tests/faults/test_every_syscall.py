"""The kernel fails one system call of a ledger and its registry, or kills their process at it: strace does that.

`test_every_call.py` tries more, and needs nothing; here the calls are those of the process, with SQLite's and Python's
own.  Only `make faults` runs it, where strace is installed.
"""

import asyncio
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from authorities.audit.index import Index
from tests.support.disk_scenarios import LINES, Acknowledged, begun, check_ledger, ledger
from tests.support.ledger import SERVICE, Registry, opened
from tests.support.system import ROOT

CALLS = ("fsync", "fdatasync", "rename", "unlink", "mkdir", "write", "pwrite64", "ftruncate")
FAULTS = ("error=EIO", "error=ENOSPC", "signal=KILL")
OF_EACH = 5
"""Calls of a kind that are tried with each fault, from the first to the last: a process takes a second."""


class Told(Acknowledged):
    """Says at once what is acknowledged, for whoever reads it after the process was killed."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "records" and value:
            sys.stdout.write(f"{value}\n")
            sys.stdout.flush()


def work(root: Path) -> None:
    """What the process does: all files in one thread, because strace counts the calls of each."""

    async def all_of_it() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        await ledger(root, Told())
        log = await opened(root / "ledger", Registry(root / "registry"))
        index = Index(root / "ledger" / "index.db", log)
        await index.follow()
        await index.close()
        await log.close()

    asyncio.run(all_of_it())


def worked(root: Path, *inject: str) -> subprocess.CompletedProcess[str]:
    code = f"from pathlib import Path; from tests.faults.test_every_syscall import work; work(Path({str(root)!r}))"
    command = [sys.executable, "-B", "-c", code]
    return subprocess.run([*inject, *command], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603


async def whole(root: Path, told: str) -> None:
    """Everything that was acknowledged is there, and the index finds it."""
    numbers = [int(line) for line in told.splitlines()]
    await check_ledger(root, Acknowledged(max(numbers, default=0)))
    log = await opened(root / "ledger", Registry(root / "registry"))
    index = Index(root / "ledger" / "index.db", log)
    await index.follow()
    for number in numbers:
        assert await index.record(SERVICE, number) == LINES[number - 1]
    await index.close()
    await log.close()


def counted(call: str, folder: Path) -> int:
    """How many of these the thread makes that writes the files; of all threads, the one with the most."""
    worked(begun(folder), "strace", "-ff", "-qq", "-o", str(folder / "trace"), "-e", f"trace={call}")
    return max(len(file.read_text().splitlines()) for file in folder.glob("trace.*"))


@pytest.mark.exhaustive
@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("call", CALLS)
async def test_at_each_system_call(tmp_path: Path, call: str) -> None:
    count, ended = counted(call, tmp_path / "counted"), 0
    for fault in FAULTS:
        for at in range(1, count + 1, max(1, count // OF_EACH)):
            root = begun(tmp_path / f"{fault} {at}")
            inject = f"inject={call}:{fault}:when={at}"
            done = worked(root, "strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject)
            ended += done.returncode != 0
            await whole(root, done.stdout)
    print(f"\n{call}: {count} calls; {ended} processes ended")
