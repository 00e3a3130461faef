"""Runs people's tasks at the orchestrator, with their own tokens, and keeps the answers for the sessions that asked."""

import asyncio
import logging
import time
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import httpx

from console.sessions import ConsoleReason, Session
from console.sign_in import Issuer
from zerotrust.context import REQUEST, current_trace
from zerotrust.decision import Denied
from zerotrust.identity import Principal
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.lifetime import run_in_background
from zerotrust.limits.strict_json import strict_object
from zerotrust.service import Service
from zerotrust.transport.egress import calling_with

LASTING = 120
"""Seconds that the user's token should have left when a task begins."""
MOST_AT_ONCE, MOST_AT_ONCE_OF_A_PERSON = 50, 5
"""Tasks under way, in all and of one person: each one holds a request at the orchestrator, which takes 100 of ours."""
KEPT = 1_800.0
"""Seconds for which an answer is kept."""
MOST_BYTES, MOST_BYTES_OF_A_SESSION = 64_000_000, 4_000_000
"""Bytes that are kept, in all and for one session: an answer has up to 1 MB.  One more replaces the oldest."""
BESIDES = 2_000
"""Bytes that an answer takes up beside its text."""

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Run:
    """A task that a session has started."""

    session: Session
    began: float = field(default_factory=time.monotonic)
    request: bytes = b""
    """As it was sent, byte for byte."""
    answer: bytes = b""
    """As it came; empty until then."""
    transaction: str = ""
    """The id of the token with which it was sent."""
    sending: asyncio.Task[None] | None = None
    """None as soon as there is an answer."""


class Runs:
    """The tasks that people have started here."""

    def __init__(self, service: Service, issuer: Issuer) -> None:
        self._service, self._issuer = service, issuer
        self._runs = dict[str, Run]()
        """By their traces, which the orchestrator continues; the oldest first."""

    def find(self, session: Session, id_: str) -> Run | None:
        """Return the task with this trace, if this session has started it."""
        run = self._runs.get(id_)
        if run is None or run.session is not session:
            return None
        return run if run.sending or time.monotonic() - run.began < KEPT else None

    async def start(self, session: Session, request: str, department: str | None) -> str:
        """Start a task, and return its trace.  Raises `Denied`."""
        await self._issuer.renew(session, LASTING)
        REQUEST.get().principal = session.principal  # the task lasts as long as the token that it is sent with
        under_way = [run.session.principal.subject for run in self._runs.values() if run.sending]
        own, trace = under_way.count(session.principal.subject), current_trace()
        if own >= MOST_AT_ONCE_OF_A_PERSON or len(under_way) >= MOST_AT_ONCE:  # control: tasks-at-once-bounded
            raise Denied(ConsoleReason.TASKS_UNDER_WAY, f"{own} of this user, {len(under_way)} in all")
        run, task = Run(session), {"request": request, "department": department}
        run.sending = await run_in_background("task", lambda: self._send(run, task))
        run.sending.add_done_callback(lambda _: self._end(run))
        self._runs[trace] = run
        return trace

    async def _send(self, run: Run, task: dict[str, str | None]) -> None:
        person = run.session.principal
        run.transaction = person.token_id
        try:
            with calling_as(person):
                url = f"{self._service.addresses[self._issuer.front]}/tasks"
                answer = await self._service.egress.http.post(url, json=task)
            run.request, run.answer = answer.request.content, answer.content
        except (httpx.HTTPError, Denied) as error:
            log.warning("a task got no answer: %s", type(error).__name__)

    def _end(self, ended: Run) -> None:
        """Forget old answers and those of ended sessions; then the oldest, until there is room."""
        ended.answer, ended.sending = ended.answer or b'{"error": "no answer"}', None
        sizes = Counter[Session | None]()
        for trace, run in [*self._runs.items()][::-1]:
            for whose in (run.session, None):
                sizes[whose] += len(run.request) + len(run.answer) + BESIDES
            fits = sizes[run.session] <= MOST_BYTES_OF_A_SESSION and sizes[None] <= MOST_BYTES
            kept = run.session.open and time.monotonic() - run.began < KEPT and fits  # control: answers-bounded
            if not run.sending and not kept:
                del self._runs[trace]


def calling_as(principal: Principal) -> AbstractContextManager[None]:
    """Have the calls in the block made with a person's own token."""
    return calling_with(ExchangedToken(principal.audience, principal.token_id, principal.expires_at, principal.token))


def result_of(answer: bytes) -> dict[str, Any]:
    """Return what the answer of a task tells its user: each step's text, what was refused, or why all of it was."""
    try:
        content = strict_object(answer)
        result = content.get("result")
        if isinstance(result, dict):
            steps = [*(one for one in content.get("steps", ()) if isinstance(one, dict)), result]
            refused = [str(each) for one in steps for each in one.get("refused", ())]
            said = dict.fromkeys(str(one["text"]) for one in steps if one.get("text"))  # the last two may be the same
            return {"text": "\n\n".join(said), "refused": refused}
    except (TypeError, ValueError):
        return {"error": "an answer that cannot be read"}
    return {"error": str(content.get("reason") or content.get("error") or "unknown")}
