"""A copy of the project for a notebook: its cells change files of the copy, and none of the reader's clone."""

import asyncio
import difflib
import os
import shutil
from pathlib import Path
from typing import Any

from lab.notebooks.normal import normal
from lab.project_copy import copy_of_the_project
from registration.realm import realm
from start.child import end
from start.program import ROOT
from zerotrust.authority.files.lock import REGISTRY
from zerotrust.authority.files.snapshot_files import load_registry

COPY = ROOT / "run" / "notebooks" / "own"
LONGEST = 1 << 20
"""Bytes of a line: far more than any that is printed here."""


def changed_lines(before: list[str], now: list[str]) -> list[str]:
    """Return the lines that are not in both texts, each with its sign, in order."""
    found = difflib.unified_diff(before, now, n=0, lineterm="")
    return [line for line in list(found)[2:] if not line.startswith("@@")]


def realm_lines(realm: dict[str, Any]) -> list[str]:
    """Return a realm's scopes, and its clients that get tokens for a party, a line each."""
    lines = [f"scope {scope['name']}" for scope in realm["clientScopes"]]
    for client in realm["clients"]:
        always, asked = (client.get(f"{kind}ClientScopes", []) for kind in ("default", "optional"))
        if audiences := [name.removeprefix("aud:") for name in always if name.startswith("aud:")]:
            lines.append(f"client {client['clientId']}: for {', '.join(audiences)}; scopes {', '.join(asked)}")
    return lines


class Copy:
    """The copy, made anew."""

    def __init__(self) -> None:
        shutil.rmtree(COPY, ignore_errors=True)
        self.tree = copy_of_the_project(COPY)
        print(f"A copy of this project is in {COPY.relative_to(ROOT)}")

    async def type(self, command: str) -> None:
        """Run a command in the copy's folder, as in a terminal; print it, and what it says."""
        if status := await run_command(command, self.tree):
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
        """Replace the one place of a text in a file.  Raises `ValueError` if there is none, or another."""
        text = (self.tree / file).read_text()
        if text.count(old) != 1:
            raise ValueError(f"{file} has {text.count(old)} places with {old!r}")
        (self.tree / file).write_text(text.replace(old, new))


async def run_command(command: str, folder: Path) -> int:
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
