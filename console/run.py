"""Runs a person's task at the orchestrator, with their own token, and keeps the answer for them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from contextvars import Context
from typing import Any

import httpx

from console.sessions import Answered, Session
from console.sign_in import Issuer
from zerotrust.context import current_trace
from zerotrust.decision import Denied
from zerotrust.identity import Principal
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.limits.strict_json import strict_object
from zerotrust.service import Service
from zerotrust.transport.egress import calling_with

LASTING = 120
"""Seconds that the user's token should have left when a task begins."""
KEPT = 1_800.0
"""Seconds for which an answer is kept, also of a session that nobody uses any more."""

log = logging.getLogger(__name__)


class Runs:
    """The tasks that are under way."""

    def __init__(self, service: Service, issuer: Issuer, answered: Callable[[], None]) -> None:
        """`answered` is called when there is an answer."""
        self._service, self._issuer, self._answered = service, issuer, answered
        self._under_way = set[asyncio.Task[None]]()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take tasks during the block; those that are under way at its end get no answer."""
        yield
        for running in self._under_way:
            running.cancel()

    async def start(self, session: Session, request: str, department: str | None) -> str:
        """Start a task, and return the trace under which it was sent.  Raises `Denied`."""
        await self._issuer.renew(session, LASTING)
        trace = current_trace()
        session.runs[trace] = None
        running = asyncio.create_task(self._run(session, trace, {"request": request, "department": department}))
        self._under_way.add(running)
        running.add_done_callback(self._under_way.discard)
        return trace

    async def _run(self, session: Session, trace: str, task: dict[str, str | None]) -> None:
        person = session.principal
        try:
            with calling_as(person):
                url = f"{self._service.addresses[self._issuer.front]}/tasks"
                answer = await self._service.egress.http.post(url, json=task)
            answered = Answered(answer.request.content, answer.content, person.token_id)
        except (httpx.HTTPError, Denied) as error:
            log.warning("a task got no answer: %s", type(error).__name__)
            answered = Answered(b"", b'{"error": "no answer"}', person.token_id)
        if trace in session.runs:  # otherwise the session has had too many since
            session.runs[trace] = answered
            # Without a context of its own, the timer would keep the request, its form and its token as long.
            asyncio.get_running_loop().call_later(KEPT, session.runs.pop, trace, None, context=Context())
        self._answered()


def calling_as(principal: Principal) -> AbstractContextManager[None]:
    """Have the calls in the block made with a person's own token."""
    return calling_with(ExchangedToken(principal.audience, principal.token_id, principal.expires_at, principal.token))


def result_of(answer: bytes) -> dict[str, Any]:
    """Return what the answer of a task tells its user: a text, what was refused, or the reason of a refusal."""
    try:
        content = strict_object(answer)
    except ValueError:
        return {"error": "an answer that cannot be read"}
    result = content.get("result")
    if isinstance(result, dict):
        steps = [*(one for one in content.get("steps", ()) if isinstance(one, dict)), result]
        refused = [str(each) for one in steps for each in one.get("refused", ())]
        return {"event": str(result.get("event")), "text": str(result.get("text", "")), "refused": refused}
    return {"error": str(content.get("reason") or content.get("error") or "unknown")}
