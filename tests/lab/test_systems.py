"""Whose system runs: ours, or a reader's copy as long as a kernel needs it.  The systems here are scripts."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lab.notebooks.attach import NAME, SOCKET
from lab.notebooks.places import REQUEST, TAKEN, Place
from lab.notebooks.systems import LAST_WORDS, READY, Systems, systems
from local.alone import DemoError, only_one

RUNS = f"""#!/bin/sh
echo $$ > "$3/pid"
echo "- The services start"
test ! -e unfit || {{ echo "agent/auditor: not as registry.lock approves"; exit 1; }}
test ! -e talks || {{ seq 1000; exit 1; }}
test ! -e stays || trap '' TERM
touch "$3/{NAME}"
echo "{READY}"
read -r line
"""
"""A system: it starts, or it says why it does not, and it ends with its input or by a signal, which leaves its file."""


def place(tree: Path) -> Place:
    (tree / "scripts").mkdir(parents=True)
    (tree / "run").mkdir()
    (tree / "scripts" / "run").write_text(RUNS)
    (tree / "scripts" / "run").chmod(0o755)
    return Place(tree, "run")


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Systems]:
    async with systems(place(tmp_path / "ours"), place(tmp_path / "copy"), print) as started:
        yield started


class Kernel:
    """What a kernel does: it connects, and asks for its copy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, request: bytes = REQUEST) -> dict[str, str]:
        self.writer.write(request)
        return await self.told()

    async def told(self) -> dict[str, str]:
        """The next answer that is no progress; nothing at the end of the connection."""
        self.progress = list[str]()
        async for line in self.reader:
            answer: dict[str, str] = json.loads(line)
            if "say" not in answer:
                return answer
            self.progress.append(answer["say"])
        return {}


@asynccontextmanager
async def kernel_of(both: Systems) -> AsyncIterator[Kernel]:
    reader, writer = await asyncio.open_unix_connection(both.ours.folder / SOCKET)
    try:
        yield Kernel(reader, writer)
    finally:
        writer.close()


def runs(system: Place) -> bool:
    return system.file.exists()


async def test_a_second_one_is_refused_and_leaves_the_first_as_it_is(both: Systems) -> None:
    with only_one(both.ours.folder), pytest.raises(DemoError, match=r"runs already .* Ctrl-C in its terminal"):
        async with systems(both.ours, both.copy, print):
            pass

    assert runs(both.ours)
    assert (both.ours.folder / SOCKET).exists()


async def test_a_copy_runs_in_place_of_ours_until_its_kernel_is_done_and_the_kernel_is_told_how_far_it_is(
    both: Systems,
) -> None:
    async with kernel_of(both) as kernel:
        assert (runs(both.ours), runs(both.copy)) == (True, False)
        assert await kernel.ask() == {"file": str(both.copy.file)}
        assert kernel.progress == ["The services start"]
        assert (runs(both.ours), runs(both.copy)) == (False, True)

        kernel.writer.write_eof()
        assert await kernel.told() == {}
        assert kernel.progress == ["The services start"]
        assert (runs(both.ours), runs(both.copy)) == (True, False)


async def test_ours_runs_again_when_the_kernel_has_been_killed(both: Systems) -> None:
    program = (
        "import socket, sys, time; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        f"s.sendall({REQUEST!r}); print(s.recv(1), flush=True); time.sleep(600)"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, str(both.ours.folder / SOCKET)), stdout=subprocess.PIPE
    )
    assert process.stdout
    await process.stdout.readline()
    process.kill()
    await process.wait()

    await both.our_own()
    assert (runs(both.ours), runs(both.copy)) == (True, False)


async def test_a_copy_that_does_not_start_says_why_and_may_be_started_again(both: Systems) -> None:
    (unfit := both.copy.tree / "unfit").touch()
    async with kernel_of(both) as kernel:
        assert await kernel.ask() == {"error": "agent/auditor: not as registry.lock approves"}
        unfit.unlink()
        assert await kernel.ask() == {"file": str(both.copy.file)}


async def test_a_second_kernel_is_told_that_the_copy_is_taken(both: Systems) -> None:
    async with kernel_of(both) as first, kernel_of(both) as second:
        await first.ask()

        assert await second.ask() == {"error": TAKEN}
        assert runs(both.copy)


@pytest.mark.parametrize("nonsense", [b"stop\n", b"x" * 100_000, b"\n"])
async def test_what_is_no_request_is_answered_by_the_end_of_the_connection(both: Systems, nonsense: bytes) -> None:
    async with kernel_of(both) as kernel:
        assert await kernel.ask(nonsense) == {}
    assert runs(both.ours)


async def test_who_asks_for_nothing_keeps_nothing(both: Systems, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.notebooks.systems.SECONDS_TO_ASK", 0.05)
    async with kernel_of(both) as idle, kernel_of(both) as other:
        assert await other.ask() == {"file": str(both.copy.file)}
        assert await idle.told() == {}


async def test_where_ours_does_not_start_again_it_is_said_by_what_needs_it(both: Systems) -> None:
    async with kernel_of(both) as kernel:
        await kernel.ask()
        (both.ours.tree / "unfit").touch()

    with pytest.raises(DemoError, match=r"^agent/auditor: not as registry\.lock approves$"):
        await both.our_own()


async def test_at_the_end_no_process_and_no_socket_is_left(tmp_path: Path) -> None:
    ours, copy = place(tmp_path / "ours"), place(tmp_path / "copy")
    async with systems(ours, copy, print) as both, kernel_of(both) as kernel:
        await kernel.ask()
        assert (ours.folder / SOCKET).stat().st_mode & 0o777 == 0o600

    assert not (ours.folder / SOCKET).exists()
    for one in ours, copy:
        with pytest.raises(ProcessLookupError):
            os.kill(int((one.folder / "pid").read_text()), 0)
        assert not runs(one)


async def test_a_start_of_ours_that_fails_leaves_nothing(tmp_path: Path) -> None:
    ours, copy = place(tmp_path / "ours"), place(tmp_path / "copy")
    (ours.tree / "unfit").touch()

    with pytest.raises(DemoError, match=r"^agent/auditor: not as registry\.lock approves$"):
        async with systems(ours, copy, print):
            pass
    assert not (ours.folder / SOCKET).exists()


async def test_of_what_a_system_says_that_does_not_start_the_end_is_kept(tmp_path: Path) -> None:
    ours, copy = place(tmp_path / "ours"), place(tmp_path / "copy")
    (ours.tree / "talks").touch()

    with pytest.raises(DemoError) as failed:
        async with systems(ours, copy, print):
            pass
    assert str(failed.value).splitlines() == [str(number) for number in range(1001 - LAST_WORDS, 1001)]


async def test_a_system_that_does_not_end_is_killed(both: Systems, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.notebooks.systems.SECONDS_TO_END", 0.05)
    (both.copy.tree / "stays").touch()
    async with kernel_of(both) as kernel:
        await kernel.ask()

    await both.our_own()
    with pytest.raises(ProcessLookupError):
        os.kill(int((both.copy.folder / "pid").read_text()), 0)
    assert (runs(both.ours), runs(both.copy)) == (True, False)
