"""Writes which log and which witness one trusts, as the registry says it, beside the run's certificate authority."""

import asyncio

import httpx

from local.system import System
from zerotrust.durable import written

FILE = "audit.policy"
"""In a run's folder."""
BETWEEN = 0.5
"""Seconds between two questions: the registry knows the log a moment after both have started."""


async def write_policy(system: System) -> None:
    """Ask the registry for the policy (c2sp.org/tlog-policy) until it has one, and write it."""
    url = f"{system.address(system.registry.authorities.registry)}/audit-policy"
    async with system.user() as http:
        while True:
            try:
                answer = await http.get(url)
            except httpx.HTTPError:
                answer = httpx.Response(503)
            if answer.status_code == 200:
                await asyncio.to_thread(written, system.folder / FILE, answer.content)
                return
            await asyncio.sleep(BETWEEN)
