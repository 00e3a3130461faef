"""The progress that a task reports, and how it reports what was done before it failed."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Literal

from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from sse_starlette import EventSourceResponse, JSONServerSentEvent

from zerotrust.adapters.answer import Outage, PeerError, outage_of
from zerotrust.context import current_trace
from zerotrust.decision import Denied, Reason
from zerotrust.receipts.carried import MEMBER
from zerotrust.transport.responses import RETRY_AFTER

log = logging.getLogger(__name__)

STATUS: dict[Outage, int] = {"": 200, "unavailable": 503, "no_answer": 502, "late": 504}
"""The status of a task's answer, by the outage that ended it (RFC 9110 section 15.6).  A task that a rule or the model
stops had no outage."""
UNCLEAR = "it may have been done"


class Progress(BaseModel):
    """One event of a task; the last is `finished`, `failed` or `unclear`."""

    event: Literal["started", "done", "not_begun", "finished", "failed", "unclear"]
    agent: str | None = None
    model: str | None = None
    """The model that a step which has started asks for."""
    text: str = ""
    done: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()
    """Calls that may have taken effect: no answer came."""
    status: int = Field(200, exclude=True)
    trace_id: str = Field(default_factory=current_trace)


async def answer_of(progress: AsyncIterator[Progress], accept: str) -> Response:
    """Return a task's answer: its progress as it comes, if a stream is accepted, or else all of it at the end.

    All of it has the status of its last event, and `Retry-After` only if asking again does nothing twice.
    """
    if "text/event-stream" in accept:
        return EventSourceResponse(_events(progress))
    *steps, last = [one async for one in progress]
    begun = any(one.event == "done" or one.done or one.unclear for one in (*steps, last))
    headers = {"retry-after": str(RETRY_AFTER)} if last.status == 503 and not begun else None
    content = {"steps": [one.model_dump() for one in steps], "result": last.model_dump(), MEMBER: ""}
    return JSONResponse(content, last.status, headers)


async def _events(progress: AsyncIterator[Progress]) -> AsyncIterator[JSONServerSentEvent]:
    async for one in progress:
        yield JSONServerSentEvent(one.model_dump(), event=one.event)
    yield JSONServerSentEvent({MEMBER: ""}, event=MEMBER)  # the place for the receipts


@contextmanager
def naming(agent: str) -> Iterator[None]:
    """Name the agent of the first step in a refusal because it is suspended, as the failure of a later step does.

    This tells a user nothing new: a task and `POST /plan` name all their agents.
    """
    try:
        yield
    except Denied as refusal:
        if refusal.reason is Reason.PEER_REVOKED:
            refusal.more = {**refusal.more, "agent": agent}
        raise


def failure_event(agent: str, error: Exception) -> Progress:
    """Return the last event of a task whose step failed: `failed`, or `unclear` if the step may have taken effect."""
    if not isinstance(error, Denied | PeerError):  # a bug: the details go to the log
        log.error("failed", exc_info=error)
        return Progress(event="unclear", agent=agent, text=f"{agent}: {Reason.FAILED}; {UNCLEAR}", status=500)
    if isinstance(error, Denied):
        return Progress(event="failed", agent=agent, text=error.public_reason, status=STATUS[outage_of(error)])
    event: Literal["unclear", "failed"] = "unclear" if error.unclear else "failed"
    text = f"{error.message}; {UNCLEAR}" if error.unclear else error.message
    account = error.account
    return Progress(
        event=event,
        agent=agent,
        text=text,
        done=account.done,
        refused=account.failed,
        unclear=account.unclear,
        status=STATUS[error.outage],
    )
