"""How long each service still accepts calls after a revocation.

From the moment at which the revocation is asked for, all services that it concerns are called with genuine tokens until
each refuses.  The time is measured from that moment to the first refusal at each service.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import httpx

from demo.again import UNANSWERED
from demo.checks import Attempt
from demo.intruder import Intruder, answer_to
from demo.revocation import sign_in_olga
from demo.revocation_methods import LONGEST, REVOCATION_METHODS, RevocationMethod, Use, get_tokens
from start.program import say
from start.system import System
from zt.errors import CommandError

REFUSED = "401 revoked"
PAUSE = 0.005
"""Seconds between two calls of a service: without a pause, all parties would be too busy to receive the revocation."""
TIMINGS = 3
"""How often each method is timed, until that comes to a result: on a busy machine, its tokens may end before."""


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
        if answer.startswith(("401", "5", "no")) and not answer.startswith("503 "):  # it cannot tell now
            raise RuntimeError(f"{name} says {answer}")
        await asyncio.sleep(PAUSE)
    raise RuntimeError(f"{name} has not refused after {LONGEST} s")


async def measure_all(system: System) -> tuple[dict[str, dict[str, float]], list[Attempt]]:
    """Measure each method once, each with sessions of its own.  Return also the methods that could not be measured."""
    took, wrong = dict[str, dict[str, float]](), list[Attempt]()
    async with AsyncExitStack() as stack:
        intruder, http = Intruder(system, stack), await stack.enter_async_context(system.user())
        for name, method in REVOCATION_METHODS.items():
            for left in reversed(range(TIMINGS)):
                try:
                    olga = await sign_in_olga(system, http)
                    use = await get_tokens(system, intruder, olga, agent=method.agent)
                    took[name] = await measure_delays(method, use)
                    break
                except (RuntimeError, CommandError, *UNANSWERED) as error:
                    say(f"{method.called}: not timed ({error}); {left} more tries")
                    if not left:
                        wrong.append(Attempt("the revocation", method.called, "", "refusals", str(error)))
    return took, wrong
