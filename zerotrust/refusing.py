"""How a refusal is sent: as the answer, or as the end of an answer that has begun."""

from typing import Any

import orjson
from fastapi import Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from zerotrust.current import FORM, current_trace
from zerotrust.dialect import Form
from zerotrust.errors import Refusal
from zerotrust.policy import Reason


def problem(refusal: Refusal, trace_id: str) -> dict[str, Any]:
    """What a refused caller is told."""
    told: dict[str, Any] = {"error": refusal.error or "unauthorized", "reason": refusal.told, "trace_id": trace_id}
    return told | ({"scope": refusal.scope} if refusal.scope else {}) | dict(refusal.more)


async def send_refusal(refusal: Refusal, trace_id: str, send: Send, form: Form) -> None:
    """Send a refusal as the answer."""
    told = problem(refusal, trace_id)
    body = orjson.dumps(form.dialect.error_body(refusal, told, form))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        *refusal.headers(form.metadata_url),
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def cut_off(refusal: Refusal, trace_id: str, send: Send, *, first: Message) -> None:
    """End an answer that began with the message `first`, so that whoever reads it knows that this is not its end.

    A stream of events (WHATWG HTML section 9.2) gets one more, `error`.  Anything else gets no end at all: then the
    server closes the connection, where a proper end would make half an answer look like a whole one.
    """
    if any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in first["headers"]):
        event = b"event: error\r\ndata: %b\r\n\r\n" % orjson.dumps(problem(refusal, trace_id))
        await send({"type": "http.response.body", "body": event, "more_body": False})


def as_refusal(error: Exception) -> Refusal:
    """What a handler or its framework ran into, as a refusal; their own answers would quote the caller, or us."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, RequestValidationError):
        places = (".".join(map(str, found["loc"])) for found in error.errors())
        return Refusal(Reason.MALFORMED_BODY, ", ".join(places))
    if isinstance(error, HTTPException):
        missing = error.status_code in (404, 405)
        return Refusal(Reason.NO_PERMISSION_FOR_ROUTE if missing else Reason.MALFORMED_BODY, error.detail)
    return Refusal(Reason.FAILED)


class RefusalResponse(Response):
    """A refusal that a handler ran into, answered like the gate's own."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(status_code=refusal.status)
        self._refusal = refusal

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send_refusal(self._refusal, current_trace(), send, FORM.get(Form()))
