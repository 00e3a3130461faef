"""How long each service still accepts calls after a revocation.

From the moment at which the revocation is asked for, all services that it concerns are called with genuine tokens until
each refuses.  The time is measured from that moment to the first refusal at each service.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import httpx

from demo.intruder import Intruder, answer_to
from demo.revocation_methods import LONGEST, REVOCATION_METHODS, RevocationMethod, Use, get_tokens
from start.system import System
from zt.people.registry_client import RegistryClient

REFUSED = "401 revoked"
PAUSE = 0.005
"""Seconds between two calls of a service: without a pause, all parties would be too busy to receive the revocation."""


async def measure_delays(method: RevocationMethod, use: Use) -> dict[str, float]:
    """Revoke, and undo it; return the seconds from the request to the first refusal at each service.

    Raises `RuntimeError` if a service refuses before, or for another reason, or not at all.
    """
    calls = {name: call for name, call in use.calls().items() if name in method.hits}
    for name, call in calls.items():
        if (answer := await answer_to(call())).startswith("401"):
            raise RuntimeError(f"{name} says {answer} before anything is revoked")
    use.asked = time.monotonic()
    revoking = asyncio.ensure_future(method.trigger(use))
    try:
        took = await asyncio.gather(*(_wait_for_refusal(name, call) for name, call in calls.items()))
        await revoking
        return {name: at - use.asked for name, at in took}
    finally:
        await asyncio.wait([revoking])  # or it would be revoked after it was undone
        await method.undo(use)


async def _wait_for_refusal(name: str, call: Callable[[], Awaitable[httpx.Response]]) -> tuple[str, float]:
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        answer = await answer_to(call())
        if answer == REFUSED:
            return name, time.monotonic()
        if answer.startswith(("401", "5", "no")):
            raise RuntimeError(f"{name} says {answer}")
        await asyncio.sleep(PAUSE)
    raise RuntimeError(f"{name} has not refused after {LONGEST} s")


async def measure_all(system: System, olga: RegistryClient) -> dict[str, dict[str, float]]:
    """Measure each method once, each with a session of its own."""
    async with AsyncExitStack() as stack:
        intruder = Intruder(system, stack)
        took = {}
        for name, method in REVOCATION_METHODS.items():
            took[name] = await measure_delays(method, await get_tokens(system, intruder, olga, agent=method.agent))
        return took
