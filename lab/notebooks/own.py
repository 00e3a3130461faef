"""A copy of the project, whose files the cells of a notebook change: never those of the reader's clone."""

import asyncio
import os
import shutil
from pathlib import Path

from lab.notebooks.changes import changed_lines, realm_lines
from lab.notebooks.normal import normal
from lab.project_copy import copy_of_the_project
from local.llama_stack import end
from local.program import ROOT
from registration.realm import realm
from zerotrust.registry.lock import REGISTRY
from zerotrust.registry.model import load_registry

COPY = ROOT / "run" / "notebooks" / "own"
LONGEST = 1 << 20
"""Bytes of a line: far more than any that is printed here."""


class Copy:
    """The copy, made anew."""

    def __init__(self) -> None:
        shutil.rmtree(COPY, ignore_errors=True)
        self.tree = copy_of_the_project(COPY)
        print(f"A copy of this project is in {COPY.relative_to(ROOT)}")

    async def type(self, command: str) -> None:
        """Run a command in the copy's folder, as in a terminal; print it, and what it says."""
        if status := await typed(command, self.tree):
            print(f"(it failed: exit status {status})")

    def changes(self, file: str) -> None:
        """Print the lines of a file that are not as in ours: `-` before, `+` now."""
        texts = ((folder / file).read_text().splitlines() for folder in (ROOT, self.tree))
        print("\n".join(changed_lines(*texts)))

    def changes_in_the_realm(self) -> None:
        """Print the same of the realm, with a line for each client and each scope."""
        before, now = (realm_lines(realm(load_registry(folder / REGISTRY))) for folder in (ROOT, self.tree))
        print("\n".join(changed_lines(before, now)))

    def replace(self, file: str, old: str, new: str) -> None:
        """Replace the one place of a text in a file.  Raises `ValueError` if there is none, or another one."""
        text = (self.tree / file).read_text()
        if text.count(old) != 1:
            raise ValueError(f"{file} has {text.count(old)} places with {old!r}")
        (self.tree / file).write_text(text.replace(old, new))


async def typed(command: str, folder: Path) -> int:
    """Run a command in a folder, as in a terminal; print it, and what it says.  Return its exit status."""
    print("$", command, flush=True)
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", command),
        cwd=folder,
        env={name: os.environ[name] for name in ("PATH", "HOME")},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=LONGEST,
    )
    assert process.stdout  # noqa: S101 - a pipe, as requested
    try:
        async for line in process.stdout:
            if not line.startswith(b"make: ***"):  # it names the line of the Makefile, and nothing else
                print(normal(line.decode(errors="replace")), end="", flush=True)
        return await process.wait()
    finally:
        await end(process)
