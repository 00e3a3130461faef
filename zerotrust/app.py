"""Makes the app that a party adds its routes to, with `/health` and a refusal for each exception of a handler."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from zerotrust.audit.event_parts import Decided
from zerotrust.audit.event_types import Refusal
from zerotrust.audit.recorder import Recorder
from zerotrust.context import REQUEST
from zerotrust.decision import BEGUN, WHENEVER, Decision, Denied, Reason
from zerotrust.transport.responses import DeniedResponse, as_denied

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
"""The resources that are open while an app runs."""


def app_with(lifespan: Lifespan, recorder: Recorder) -> FastAPI:
    """Return an app that serves `/health`, and records what its handlers refuse."""

    app = FastAPI(
        lifespan=lifespan,
        openapi_url=None,  # nor the pages that read it
        telemetry={"tracing": False, "metrics": False, "logs": False},  # what happened is in the journal
    )
    for kind in (Denied, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, refusing(recorder))

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    return app


def refusing(recorder: Recorder) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Return a handler of exceptions that answers with the refusal, and records it."""

    async def answer(_request: Request, error: Exception) -> Response:
        return await _refusal(error, recorder)

    return answer


async def _refusal(error: Exception, recorder: Recorder) -> Response:
    """Return the answer to a handler's exception.  Raises it again if it is a bug: the gate records and answers it."""
    refusal = as_denied(error)
    if refusal.reason is Reason.FAILED:
        raise error
    undecided = REQUEST.get().undecided
    if any(error is one for one in undecided.refusals):
        undecided.clear()  # the answer is that decision, and nothing that the handler has made
    if refusal.reason is not Reason.APPLICATION_ERROR:  # an answer of the application is not a refusal
        decision = Decision(allowed=False, reason=refusal.reason, detail=refusal.detail)
        try:
            await recorder.write(Refusal(decision=Decided.of(decision)))
        except Denied as unrecorded:
            refusal = unrecorded
    if refusal.reason in WHENEVER:
        refusal.more = {**refusal.more, **BEGUN}
    return DeniedResponse(refusal)
