"""Runs what acts for a caller while its token, its connection and the caller itself are valid, and no longer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from zerotrust.call import Call
from zerotrust.context import REQUEST, Undecided, current_request
from zerotrust.decision import BEGUN, Decision, Denied, Reason
from zerotrust.revocation import Revocations

REVOCATION_GRACE = 0.5
"""Seconds that a handler has to report what it did after its caller was revoked; then it is cut off."""

log = logging.getLogger(__name__)


async def while_valid(
    call: Call,
    revocations: Revocations,
    clock: Callable[[], float],
    work: Callable[[asyncio.Timeout], Awaitable[object]],
) -> Denied | None:
    """Run work of a call, which gets its own time limit; `clock`: seconds since the epoch.

    Return None when it has ended, or why it was not started or was cut off.
    """
    principal = call.caller
    left = min(principal.expires_at, call.peer.until) - clock()  # control: answer-ends-with-token
    if left <= 0:  # receiving or recording the request took too long
        return Denied(Reason.EXPIRED, "before it was used")
    # control: caller-not-revoked-when-served
    if not (found := revocations.check_caller(principal)):  # it may have been revoked since the gate checked
        return Denied(found.reason, found.detail)
    ending: Denied | None = None
    loop = asyncio.get_running_loop()
    end = loop.time() + left

    def on_revoked(decision: Decision) -> None:
        """Leave the work `REVOCATION_GRACE` to report what it did."""
        nonlocal ending, end
        if life.expired():  # it is being cut off already
            return
        ending = Denied(decision.reason, decision.detail, more=BEGUN)
        end = min(end, loop.time() + REVOCATION_GRACE)
        life.reschedule(end)

    try:
        async with asyncio.timeout(left) as life:  # control: answer-has-an-end
            with revocations.watching(principal, on_revoked):  # control: revocation-ends-answer
                await work(life)
    except TimeoutError:
        if not life.expired():
            raise
    if not life.expired():
        return None
    return ending or Denied(Reason.EXPIRED, "while it was being used", more=BEGUN)


async def in_thread(call: Call, running: Awaitable[None]) -> None:
    """Await an app whose handler runs in a thread: cut off, it goes on, and counts as under way until its end."""

    def end(task: asyncio.Future[None]) -> None:
        call.at_end = taken
        call.end()
        if not task.cancelled():
            task.exception()  # it can no longer answer

    task = asyncio.ensure_future(running)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        taken, call.at_end = call.at_end, []
        task.add_done_callback(end)
        raise


async def run_in_background(name: str, work: Callable[[], Awaitable[object]]) -> asyncio.Task[None]:
    """Start work that keeps the caller of the request being handled, and return the task that runs it.

    The work is cut off as an answer is: when the token or the certificate of the caller ends, and when the caller is
    revoked.  Until its end, which the log tells with its `name`, it counts as one more request of its user under way.
    What it asks of others is on record, but on no receipt.
    Raises `Denied`: too many requests, busy, call ended; and `LookupError` if no gate has admitted a caller.
    """
    call = current_request()
    if not isinstance(call, Call) or call.principal is None:
        raise LookupError("no gate has admitted a caller")
    own = replace(call, at_end=[], calls=None, unwritten=[], undecided=Undecided())
    try:
        await call.gate.limits(own)  # control: background-work-bounded
    except Denied:
        own.end()
        raise
    return asyncio.create_task(_run(own, name, work))  # the loop holds it by its time limit


async def _run(call: Call, name: str, work: Callable[[], Awaitable[object]]) -> None:
    REQUEST.set(call)
    ended: object = "cancelled"
    try:
        ended = await while_valid(call, call.gate.revocations, call.gate.clock, lambda _life: work()) or "complete"
        await call.gate.recorder.wait_until_written(call.unwritten)
        if call.undecided:
            ended = "a decision was not awaited"
    except Exception:
        ended = "failed"
        log.exception("in the background: %s", name)
    finally:
        call.end()
        log.log(logging.INFO if ended == "complete" else logging.WARNING, "in the background: %s: %s", name, ended)
