"""The reader's own copy of the project: the cells of a notebook make it, change it and run it, in place of ours."""

import asyncio
import inspect
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from IPython.display import display

from lab.notebooks.attach import SOCKET, attach_here
from lab.notebooks.changes import changed_lines, realm_lines, with_function
from lab.notebooks.normal import normal
from lab.notebooks.places import COPY, OURS, REQUEST, TAKEN
from lab.project_copy import copy_of_the_project
from local.alone import DemoError, process_running
from local.keycloak_instance import copy_build
from local.program import ROOT
from local.system import System
from registration.realm import REALM_FILE

NOT_HERE = "This notebook changes files and starts the system anew: it needs `make notebooks`, in a clone."
LONGEST = 1 << 20
"""Bytes of a line: far more than any that is printed here."""


_REALM = REALM_FILE.relative_to(ROOT)


@dataclass
class Copy:
    """The copy, and the connection by which its system runs."""

    tree: Path
    _connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def type(self, command: str) -> None:
        """Run a command in the copy's folder, as in a terminal; print it, and what it says."""
        print("$", command)
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", command),
            cwd=self.tree,
            env={name: os.environ[name] for name in ("PATH", "HOME")},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=LONGEST,
        )
        assert process.stdout  # noqa: S101 - a pipe, as requested
        async for line in process.stdout:
            if not line.startswith(b"make: ***"):  # it names the line of the Makefile, and nothing else
                print(normal(line.decode(errors="replace")), end="")
        if status := await process.wait():
            print(f"(it failed: exit status {status})")

    def changes(self, file: str) -> None:
        """Print the lines of a file that are not as in ours: `-` before, `+` now."""
        texts = ((folder / file).read_text().splitlines() for folder in (ROOT, self.tree))
        print("\n".join(changed_lines(*texts)))

    def changes_in_the_realm(self) -> None:
        """Print the same of the realm, with a line for each client and each scope."""
        before, now = ((folder / _REALM).read_text() for folder in (ROOT, self.tree))
        print("\n".join(changed_lines(realm_lines(before), realm_lines(now))))

    def replace(self, file: str, old: str, new: str) -> None:
        """Replace the one place of a text in a file.  Raises `ValueError` if there is none, or another one."""
        text = (self.tree / file).read_text()
        if text.count(old) != 1:
            raise ValueError(f"{file} has {text.count(old)} places with {old!r}")
        (self.tree / file).write_text(text.replace(old, new))

    def put(self, function: Callable[..., Any], file: str) -> None:
        """Write a function of a cell into a file, in place of the one of its name.  Raises `ValueError` without one."""
        text = (self.tree / file).read_text()
        (self.tree / file).write_text(with_function(text, function.__name__, inspect.getsource(function)))

    async def start(self) -> System:
        """Run the copy's system in place of ours, and return it.  Raises `DemoError` with the cause if it does not."""
        shown = display({"text/plain": "Ours is stopped, and the copy's is started"}, raw=True, display_id=True)
        kept = False
        try:
            reader, writer = self._connection = self._connection or await _connected()
            writer.write(REQUEST)
            told = await _told(reader, lambda text: shown.update({"text/plain": text}, raw=True))
            kept = bool(told)
            shown.update({"text/plain": "The copy's system runs" if "file" in told else "It does not start"}, raw=True)
        finally:
            if not kept and self._connection:
                self._connection[1].close()
                self._connection = None
        if "file" not in told:
            raise DemoError(normal(told.get("error", "`make notebooks` has ended.")))
        return await attach_here(Path(told["file"]))

    async def stop(self) -> None:
        """End the copy's system, and wait until ours runs again."""
        if not self._connection:
            return
        shown = display({"text/plain": "The copy's system is stopped, and ours is started"}, raw=True, display_id=True)
        (reader, writer), self._connection = self._connection, None
        writer.write_eof()
        told = await _told(reader, lambda text: shown.update({"text/plain": text}, raw=True))
        writer.close()
        shown.update({"text/plain": told.get("error", "Our own system runs again")}, raw=True)


async def new_copy() -> Copy:
    """Make the copy anew: what was changed in it is gone.  Raises `DemoError` while its system runs."""
    if process_running(COPY.folder):
        raise DemoError(TAKEN)
    shutil.rmtree(COPY.tree, ignore_errors=True)
    await asyncio.to_thread(copy_of_the_project, COPY.tree)
    COPY.folder.mkdir(mode=0o700)
    copy_build(OURS.folder / "keycloak", COPY.folder / "keycloak")
    print(f"A copy of this project is in {COPY.tree.relative_to(ROOT)}")
    return Copy(COPY.tree)


async def _connected() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        return await asyncio.open_unix_connection(OURS.folder / SOCKET)
    except OSError as error:
        raise DemoError(NOT_HERE) from error


async def _told(reader: asyncio.StreamReader, say: Callable[[str], object]) -> dict[str, str]:
    """Hand on how far it is; return what comes of it, or nothing at the end of the connection."""
    async for line in reader:
        told: dict[str, str] = json.loads(line)
        if "say" not in told:
            return told
        say(normal(told["say"]))
    return {}
