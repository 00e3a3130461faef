"""The hops of one task to one browser, as they become records: server-sent events (WHATWG HTML section 9.2).

A stream ends with the task and with the person's session; and the admission ends it with the person's token and rights.
The browser then asks again, and says which hop it had last.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from sse_starlette import JSONServerSentEvent
from starlette.exceptions import HTTPException

from console.log import LogReader
from console.run import result_of
from console.sessions import Session
from console.tasks import Task, Tasks
from zerotrust.decision import Denied

RETRY = 500
"""Milliseconds after which a browser asks again."""
LOOK = 0.5
"""Seconds between two looks at the person's session, while nothing comes."""
PING = 15
"""Seconds between two signs of life."""
LATE = 3.0
"""Seconds for which the last records of a task that has ended are waited for."""
LONGEST = 600.0
"""Seconds for which a task is waited for, or followed."""

Admit = Callable[[Task], Awaitable[bool]]
"""Decides whether the person may see this task, or raises; returns whether with the details of refusals."""


class News:
    """Wakes all streams at once, so that none has to look by itself."""

    def __init__(self) -> None:
        self.coming = asyncio.Event()
        """Set as soon as there is something new: then the next news have another one."""

    def tell(self) -> None:
        self.coming.set()
        self.coming = asyncio.Event()


class Streams:
    """Follows tasks for browsers."""

    def __init__(self, reader: LogReader, tasks: Tasks, news: News) -> None:
        self._reader, self._tasks, self._news = reader, tasks, news

    async def follow(
        self, session: Session, id_: str, after: int, admit: Admit, *, explained: bool | None
    ) -> AsyncIterator[JSONServerSentEvent]:
        """Yield what comes of a task; `after`: the number of the last hop that the browser has.

        `explained`: what `admit` returned; None for a task of this session of which there is no record yet.
        """
        loop = asyncio.get_running_loop()
        end, shown, told, refused, known = loop.time() + LONGEST, after, False, False, None
        with self._reader.watching():
            while loop.time() < end and session.open:  # control: stream-ends-with-session
                coming = self._news.coming
                if known != (state := (self._reader.problem, self._reader.cosigned)):
                    known, age = state, max(0, round(time.time() - self._reader.cosigned))
                    yield JSONServerSentEvent({"problem": self._reader.problem, "age": age}, event="log", retry=RETRY)
                if (task := self._tasks.find(id_)) and not refused:
                    try:
                        explained = await admit(task) if explained is None else explained
                    except (HTTPException, Denied) as refusal:
                        # A person who sees no tasks, not even their own, is told the answer only.
                        refused = not (isinstance(refusal, Denied) and refusal.status == 503)
                    else:
                        for hop in task.hops(after=shown, explained=explained):
                            shown = hop["n"]
                            yield JSONServerSentEvent(hop, event="hop", id=str(shown), retry=RETRY)
                        end = min(end, loop.time() + LATE) if task.ended else end
                if not told and (answered := session.runs.get(task.started_as or id_ if task else id_)):
                    told = True
                    yield JSONServerSentEvent(result_of(answered.answer), event="answer", retry=RETRY)
                if told and (refused or not task):
                    end = min(end, loop.time() + LATE)
                with suppress(TimeoutError):
                    await asyncio.wait_for(coming.wait(), LOOK)
        if session.open:
            yield JSONServerSentEvent({}, event="end")
