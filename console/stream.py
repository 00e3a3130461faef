"""The hops of one task to one browser, as they become records: server-sent events (WHATWG HTML section 9.2).

A stream ends with the task and with the person's session; and the admission ends it with the person's token and rights.
The browser asks again, and names the last hop that it had; after the event `end` it does not.  `LONGEST` is less than
a token lasts, so a page follows a task that never ends in two streams at most.  A program that goes on asking gets as
many streams at once as the gate admits of a person (`hardening/in_flight.py`), and each one is on record.
"""

import time
from asyncio import sleep
from collections.abc import AsyncIterator

from sse_starlette import JSONServerSentEvent

from console.log import LogReader
from console.run import Runs, result_of
from console.sessions import Session
from console.tasks import Task, Tasks

RETRY = 200
"""Milliseconds after which a browser asks again."""
LOOK = 0.05
"""Seconds between two looks at what there is."""
PING = 15
"""Seconds between two signs of life."""
LATE = 3.0
"""Seconds for which the last records of a task that has ended are waited for."""
LONGEST = 150.0
"""Seconds for which a task is followed: a call takes 120 at most."""


async def follow(  # noqa: PLR0913 - what it shows, and to whom
    reader: LogReader,
    tasks: Tasks,
    runs: Runs,
    session: Session,
    id_: str,
    *,
    seen: Task | None,
    explained: bool,
    after: int,
) -> AsyncIterator[JSONServerSentEvent]:
    """Yield what comes of a task.

    `seen`: the task that the person may see, or None while there is no record of it; `explained`: with the details of
    refusals; `after`: the number of the last hop that the browser has.
    """
    end, told, before = time.monotonic() + LONGEST, False, None
    while time.monotonic() < end and session.open:  # control: stream-ends-with-session
        reader.look()
        if before != (state := (reader.problem, reader.cosigned)):
            before, age = state, {"age": max(0, round(time.time() - reader.cosigned))} if reader.cosigned else {}
            yield JSONServerSentEvent({"problem": reader.problem, **age}, event="log", retry=RETRY)
        if (task := tasks.find(id_)) is not seen:  # control: hops-of-that-owner
            return  # the browser asks again, and it is decided about this one
        for hop in task.hops(after=after, explained=explained) if task else ():
            after = hop["n"]
            yield JSONServerSentEvent(hop, event="hop", id=str(after))
        if not told and (run := runs.find(session, id_)) and run.answer:
            told = True
            yield JSONServerSentEvent(result_of(run.answer), event="answer")
        if task.ended if task else told:
            end = min(end, time.monotonic() + LATE)
        await sleep(LOOK)
    if session.open:
        yield JSONServerSentEvent({}, event="end")
