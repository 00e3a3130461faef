"""Runs the program `zt` in a cell, as olga; another program signs her in, as she would in a browser."""

import asyncio
import json
import os
from pathlib import Path

from lab.notebooks.normal import normal
from start.system import ROOT, System

COLUMNS = 100
"""Columns of its output."""


async def zt(system: System, command: str, **values: str) -> None:
    """Print a command, run it in the run's folder, and print what it says.

    `values`: what words of the command, in capital letters, stand for.
    """
    print(f"$ zt {command}")
    olga = Path.home() / "olga.json"  # the folder is this kernel's, and removed with it
    olga.touch(mode=0o600)
    person = {"user": "olga", "password": system.keycloak.passwords["olga"], "ca": str(system.ca_file)}
    olga.write_text(json.dumps(person))
    process = await asyncio.create_subprocess_exec(
        *(str(ROOT / ".venv" / "bin" / "zt"), *(values.get(word, word) for word in command.split())),
        cwd=system.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": os.environ["PATH"],
            "COLUMNS": str(COLUMNS),
            "XDG_RUNTIME_DIR": str(Path.home()),
            "ZT_USER": "olga",
            "ZT_CA": str(system.ca_file),
            "ZT_JOURNALS": str(system.folder / "data"),
            "BROWSER": f"{ROOT}/start/run testkit.browser {olga} %s",
        },
    )
    said, failed = (text.decode() for text in await process.communicate())
    print(normal(said or failed).rstrip())
