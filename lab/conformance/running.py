"""Runs other programs and captures their output."""

import asyncio
import os
import shutil
from pathlib import Path

from start.system import ROOT

SECONDS = 900
"""The longest time that a program may take."""


PYTHON = ROOT / ".venv" / "bin" / "python"
"""The interpreter that makes virtual environments; that of this process may have no path."""


class Missing(Exception):
    """A requirement of a suite is not installed, so the suite is skipped.  The text names it."""


class Failed(Exception):
    """A suite did not finish, so no check of it has passed.  The text has the reason."""


def empty_folder(folder: Path) -> Path:
    """Return a folder, absolute, empty and for this user alone."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    return folder.absolute()


async def environment(venv: Path, *packages: str) -> Path:
    """Return the interpreter of a virtual environment with these packages, made once.  Raises `Missing`."""
    python, marker, wanted = venv / "bin" / "python", venv / "installed", " ".join(packages)
    if not marker.exists() or marker.read_text() != wanted:
        commands: list[tuple[str | Path, ...]] = [(PYTHON, "-m", "venv", venv)]
        commands.append((python, "-m", "pip", "install", "-q", *packages))
        for command in commands:
            status, output = await run(*command)
            if status:
                raise Missing(f"{wanted} cannot be installed: {output[-300:]}")
        marker.write_text(wanted)
    return python


async def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Run a program to its end; return its status and output.  Raises `Failed` if it takes too long."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(SECONDS):
            said, _ = await process.communicate()
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise Failed(f"{Path(command[0]).name} did not end within {SECONDS} s") from error
    return process.returncode or 0, said.decode(errors="replace")
