"""Programs of others, run with what they say kept."""

import asyncio
import os
from pathlib import Path

from local.system import ROOT

SECONDS = 900
"""That one program may take."""


PYTHON = ROOT / ".venv" / "bin" / "python"
"""Makes virtual environments: this process itself may run from an interpreter that has no path."""


class Missing(Exception):
    """Something that a suite needs is not installed here, so the suite is skipped.  The text says what."""


class Failed(Exception):
    """A suite did not run to its end, so nothing of it has passed.  The text says why."""


async def environment(venv: Path, *packages: str) -> Path:
    """A virtual environment with these packages, made once; return its interpreter.  Raises `Missing`."""
    python, marker, wanted = venv / "bin" / "python", venv / "installed", " ".join(packages)
    if not marker.exists() or marker.read_text() != wanted:
        commands: list[tuple[str | Path, ...]] = [(PYTHON, "-m", "venv", venv)]
        commands.append((python, "-m", "pip", "install", "-q", *packages))
        for command in commands:
            status, told = await run(*command)
            if status:
                raise Missing(f"{wanted} cannot be installed: {told[-300:]}")
        marker.write_text(wanted)
    return python


async def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Run a program to its end; return its status and all that it said.  Raises `Failed` where it takes too long."""
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
        raise Failed(f"{Path(command[0]).name} came to no end in {SECONDS} s") from error
    return process.returncode or 0, said.decode(errors="replace")
