"""Runs a handler while its caller's token and connection are valid: no answer, and no stream, outlives them."""

import asyncio
from collections.abc import Awaitable, Callable

from zerotrust.decision import BEGUN, Decision, Denied, Reason
from zerotrust.identity import Principal
from zerotrust.revocation import Revocations

REVOCATION_GRACE = 0.5
"""Seconds that a handler has to report what it did after its caller was revoked; then it is cut off."""


async def while_valid(
    work: Callable[[], Awaitable[None]], principal: Principal, revocations: Revocations, *, seconds: float
) -> Denied | None:
    """Run `work` for that caller.  Return None when it has ended, or why it was not started or was cut off.

    `seconds`: how long token and connection stay valid from now on.
    """
    if seconds <= 0:  # receiving or recording the request took too long
        return Denied(Reason.EXPIRED, "before it was used")
    # control: caller-not-revoked-when-served
    if not (found := revocations.of(principal)):  # it may have been revoked since the gate checked
        return Denied(found.reason, found.detail)
    ending = Denied(Reason.EXPIRED, "while it was being used", more=BEGUN)
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds

    def on_revoked(decision: Decision) -> None:
        """Leave the handler `REVOCATION_GRACE` to report what it did."""
        nonlocal ending, end
        if life.expired():  # it is being cut off already
            return
        ending = Denied(decision.reason, decision.detail, more=BEGUN)
        end = min(end, loop.time() + REVOCATION_GRACE)
        life.reschedule(end)

    try:
        async with asyncio.timeout(seconds) as life:  # control: answer-has-an-end
            with revocations.watching(principal, on_revoked):  # control: revocation-ends-answer
                await work()
    except TimeoutError:
        if not life.expired():
            raise
        return ending
    return None
