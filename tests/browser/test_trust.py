"""The two commands by which a browser trusts the authority of a run: without them, it shows no page."""

import asyncio
import os
from pathlib import Path

import pytest

from start.browser import forget, profile
from start.system import System
from tests.support.chromium import BROWSER
from tests.support.console import AT

pytestmark = [pytest.mark.e2e, *BROWSER]


async def page_in(command: list[str], environment: dict[str, str]) -> str:
    """What a browser that is started by this command shows, without a window."""
    quiet = ["--headless", "--dump-dom", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    process = await asyncio.create_subprocess_exec(
        command[0],
        *quiet,
        *command[1:],
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    shown, _ = await process.communicate()
    return shown.decode()


async def test_a_profile_trusts_the_authority_of_the_run_until_that_is_undone(real: System, tmp_path: Path) -> None:
    opened = profile(tmp_path, real.ca_file, AT)
    assert "Sign in" in await page_in(*opened)

    forget(tmp_path / ".pki" / "nssdb")
    assert "Sign in" not in await page_in(*opened)
