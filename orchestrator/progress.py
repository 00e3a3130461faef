"""The progress that a task reports, and how it reports what was done before it failed."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Literal

from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from sse_starlette import EventSourceResponse, JSONServerSentEvent

from zerotrust.adapters.answer import PeerError
from zerotrust.context import current_trace
from zerotrust.decision import Denied, Reason
from zerotrust.receipts.carried import MEMBER

log = logging.getLogger(__name__)


class Progress(BaseModel):
    """One event of a task; the last one is `finished`, `failed` or `unclear`."""

    event: Literal["started", "done", "not_begun", "finished", "failed", "unclear"]
    agent: str | None = None
    model: str | None = None
    """The model that a step which has started asks for."""
    text: str = ""
    done: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()
    """Calls that may have taken effect: no answer came."""
    trace_id: str = Field(default_factory=current_trace)


async def answer_of(progress: AsyncIterator[Progress], accept: str) -> Response:
    """Return a task's answer: its progress as it comes, if a stream is accepted, or else all of it at the end."""
    if "text/event-stream" in accept:
        return EventSourceResponse(_events(progress))
    steps = [one.model_dump() async for one in progress]
    return JSONResponse({"steps": steps[:-1], "result": steps[-1], MEMBER: ""})


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


def stopped(agent: str, error: Exception) -> Progress:
    """Return the last event of a task whose step failed: `failed`, or `unclear` if it is not known what was done."""
    if not isinstance(error, Denied | PeerError):  # a bug: the details go to the log
        log.error("failed", exc_info=error)
        error = PeerError(f"{agent}: {Reason.FAILED}", unclear=True)
    if isinstance(error, Denied):
        return Progress(event="failed", agent=agent, text=error.public_reason)
    event: Literal["unclear", "failed"] = "unclear" if error.unclear else "failed"
    text = f"{error.message}; it may have been done" if error.unclear else error.message
    account = error.account
    return Progress(
        event=event,
        agent=agent,
        text=text,
        done=account.done,
        refused=account.failed,
        unclear=account.unclear,
    )
