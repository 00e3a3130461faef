"""The hops of one task to one browser, as they become records: server-sent events (WHATWG HTML section 9.2).

A stream ends with the task, with the person's session, when they are revoked, and with the connection.  The browser
then asks again, and says which hop it had last.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from sse_starlette import EventSourceResponse, JSONServerSentEvent
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from console.log import LogReader
from console.reasons import ConsoleReason
from console.run import result_of
from console.sessions import Session
from console.tasks import Task, Tasks
from zerotrust.decision import Denied
from zerotrust.revocation import Revocations

MOST_OF_A_SESSION = 6
"""Streams of one session: a browser opens six connections to a host."""
RETRY = 500
"""Milliseconds after which a browser asks again."""
LOOK = 0.5
"""Seconds between two looks at the person's session, while nothing comes."""
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


class _Stream(EventSourceResponse):
    """One stream, which counts for its session from the time when it was granted."""

    def __init__(self, session: Session, content: AsyncIterator[JSONServerSentEvent], *, ping: int) -> None:
        super().__init__(content, ping=ping)
        self._session = session
        session.streams += 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._session.streams -= 1


def counted(session: Session, content: AsyncIterator[JSONServerSentEvent]) -> EventSourceResponse:
    """Return a stream of this session.  Raises `Denied` if it has too many."""
    if session.streams >= MOST_OF_A_SESSION:  # control: streams-of-a-session-bounded
        raise Denied(ConsoleReason.TOO_MANY_STREAMS)
    return _Stream(session, content, ping=15)


class Streams:
    """Follows tasks for browsers."""

    def __init__(self, reader: LogReader, tasks: Tasks, revocations: Revocations, news: News) -> None:
        self._reader, self._tasks, self._revocations, self._news = reader, tasks, revocations, news

    def follow(
        self, session: Session, id_: str, after: int, admit: Admit, *, explained: bool | None
    ) -> EventSourceResponse:
        """Return the stream of a task; `after`: the number of the last hop that the browser has.  Raises `Denied`.

        `explained`: what `admit` returned; None for a task of this session of which there is no record yet.
        """
        return counted(session, self._events(session, id_, after, admit, explained=explained))

    async def _events(
        self, session: Session, id_: str, after: int, admit: Admit, *, explained: bool | None
    ) -> AsyncIterator[JSONServerSentEvent]:
        loop = asyncio.get_running_loop()
        end, shown, told, refused = loop.time() + LONGEST, after, False, False
        with self._reader.watching():
            while loop.time() < end and self._goes_on(session):
                coming = self._news.coming
                if (task := self._tasks.find(id_)) and not refused:
                    try:
                        explained = await admit(task) if explained is None else explained
                    except (HTTPException, Denied) as refusal:
                        # A person who sees no tasks, not even their own, is told the answer only.
                        refused = not (isinstance(refusal, Denied) and refusal.status == 503)
                    else:
                        for hop in task.hops(after=shown, explained=explained):
                            if not self._goes_on(session):
                                return
                            shown = hop["n"]
                            yield JSONServerSentEvent(hop, event="hop", id=str(shown), retry=RETRY)
                        if task.ended:
                            end = min(end, loop.time() + LATE)
                if not told and (answered := session.runs.get(id_)):
                    told = True
                    yield JSONServerSentEvent(result_of(answered.answer), event="answer", retry=RETRY)
                if told and (refused or not task):
                    end = min(end, loop.time() + LATE)
                with suppress(TimeoutError):
                    await asyncio.wait_for(coming.wait(), LOOK)
            if loop.time() >= end:
                yield JSONServerSentEvent({"problem": self._reader.problem}, event="end")

    def _goes_on(self, session: Session) -> bool:
        if not session.open:  # control: stream-ends-with-session
            return False
        return bool(self._revocations.check_caller(session.tokens.principal))  # control: stream-ends-when-revoked
