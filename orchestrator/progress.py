"""What a task tells while it goes on, and what it says was done when it could not go on."""

from typing import Literal

from pydantic import BaseModel, Field

from zerotrust.adapters.answer import PeerError
from zerotrust.context import current_trace
from zerotrust.decision import Denied


class Progress(BaseModel):
    """One thing that happened; the last one of a task is `finished`, `failed` or `unclear`."""

    event: Literal["started", "done", "not_begun", "finished", "failed", "unclear"]
    agent: str | None = None
    text: str = ""
    done: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()
    """What may have been done: it was asked for, and no answer came."""
    trace_id: str = Field(default_factory=current_trace)


def stopped(agent: str, error: Denied | PeerError) -> Progress:
    """How a task ends at a step that did not: `failed`, or `unclear` where it is not known what the agent did."""
    if isinstance(error, Denied):
        return Progress(event="failed", agent=agent, text=error.told)
    event: Literal["unclear", "failed"] = "unclear" if error.unclear else "failed"
    text = f"{error.told}; it may have been done" if error.unclear else error.told
    account = error.account
    return Progress(
        event=event,
        agent=agent,
        text=text,
        done=account.done,
        refused=account.failed,
        unclear=account.unclear,
    )
