"""Keeps the policy by which people verify the audit log: which log, which witnesses, and which of them are enough.

The registry publishes it with the first checkpoint.  What was kept at the first start stays: another policy later would
mean another log, or another registry, and is told and not believed.
"""

import asyncio
from contextlib import suppress

import httpx

from start.past import AUDIT_POLICY
from start.progress import Say
from start.system import System
from zerotrust.durable import written
from zerotrust.limits.answers import ask
from zerotrust.tlog.note import MAX_NOTE

SECONDS_BETWEEN_TRIES = 0.2


async def keep(system: System, say: Say) -> None:
    """Wait for the first checkpoint, and write the policy to the run's folder, unless it is there already."""
    published, file = await _published(system), system.folder / AUDIT_POLICY
    if not file.exists():
        written(file, published)
    elif file.read_bytes() != published:
        say(
            f"The registry publishes another policy for the audit log than {file}: no export of this log can be "
            "verified with that file, which stays as it is. `make fresh` deletes the log and sets the file aside"
        )


async def _published(system: System) -> bytes:
    url = f"{system.address(system.registry.authorities.registry)}/audit-policy"
    async with system.user() as http:
        while True:
            with suppress(httpx.HTTPError, OSError):
                status, answer = await ask(http, "GET", url, most=MAX_NOTE)
                if status == 200:
                    return answer
            await asyncio.sleep(SECONDS_BETWEEN_TRIES)
