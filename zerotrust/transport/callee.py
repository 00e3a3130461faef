"""A call to another party ends when that party is suspended: nothing that it answers from then on is taken."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from zerotrust.decision import BEGUN, Decision, Denied
from zerotrust.revocation import Revocations


@asynccontextmanager
async def while_trusted(party: str, revocations: Revocations, life: asyncio.Timeout) -> AsyncIterator[None]:
    """Run the block, in which `party` is called or answers, until `life` ends.

    If the party is suspended meanwhile, the block ends at once and raises `Denied`: `peer_revoked`, and the call may
    have taken effect (`begun`).  There is no time to go on in, as a caller's handler has (`call_lifetime.py`): a
    compromised party would answer in it.  Raises `TimeoutError` when `life` ends.
    """
    ending: Denied | None = None

    def on_revoked(decision: Decision) -> None:
        nonlocal ending
        ending = cut_off(decision)
        if not life.expired():
            life.reschedule(0)

    try:
        async with life:
            with revocations.watching_peer(party, on_revoked):  # control: suspension-ends-call
                yield
    except Exception as error:
        if ending:
            raise ending from error
        raise
    if ending:  # the answer was complete in that moment
        raise ending


def cut_off(decision: Decision) -> Denied:
    """Return the refusal for a call that was under way when the called party was suspended."""
    return Denied(decision.reason, decision.detail, more=BEGUN)
