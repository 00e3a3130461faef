"""Sends a refusal (RFC 6750): as the answer, or as the end of an answer that has begun."""

from typing import Any

import orjson
from fastapi import Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from zerotrust.context import REQUEST
from zerotrust.decision import Denied, Reason
from zerotrust.dialect import Form
from zerotrust.receipts.calls import current_calls
from zerotrust.receipts.carried import MEMBER

RETRY_AFTER = 1
"""Seconds a caller should wait before it tries again."""


class ApplicationError(Denied):
    """An error status that a handler chose (`HTTPException`): the application's own answer, no decision of ours.

    The status stays.  The text is fixed for each status, because the handler's own may quote the caller.
    """

    def __init__(self, status: int) -> None:
        super().__init__(Reason.APPLICATION_ERROR)
        by_class = "invalid_request" if status < 500 else "server_error"
        known = {401: None, 403: "access_denied", 429: "temporarily_unavailable", 503: "temporarily_unavailable"}
        self.status, self.error = status, known.get(status, by_class)


def headers_of(refusal: Denied, form: Form) -> list[tuple[bytes, bytes]]:
    """Return a refusal's own headers: a challenge (RFC 6750 section 3, RFC 9728 section 5.1), or `Retry-After`."""
    if refusal.status in (429, 503):
        return [(b"retry-after", b"%d" % RETRY_AFTER)] if refusal.again else []
    if refusal.status not in (400, 401, 403) or refusal.error == "access_denied":
        return []
    fields = {"error": refusal.error, "scope": refusal.scope, "resource_metadata": form.metadata_url}
    given = "".join(f', {name}="{value}"' for name, value in fields.items() if value)
    return [(b"www-authenticate", f"{form.challenge}{given}".encode())]


def problem(refusal: Denied, trace_id: str, *, begun: bool = False) -> dict[str, Any]:
    """Return the problem object that a refused caller gets.

    A verified caller's has a place for receipts, unless the only one fits into a header, because clients print the
    object.  `begun`: the headers have been sent.
    """
    error, scope = refusal.error or "unauthorized", {"scope": refusal.scope} if refusal.scope else {}
    # control: refusal-detail-hidden
    found = {"error": error, "reason": refusal.public_reason, "trace_id": trace_id} | scope | dict(refusal.more)
    if calls := current_calls():
        calls.refusal = refusal
        if begun or not calls.brief:
            found[MEMBER] = ""
    return found


async def send_refusal(refusal: Denied, trace_id: str, send: Send, form: Form) -> None:
    """Send a refusal as the answer."""
    body = orjson.dumps(form.dialect.error_body(refusal, problem(refusal, trace_id), form))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        *headers_of(refusal, form),
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def cut_off(refusal: Denied, trace_id: str, send: Send, *, first: Message) -> None:
    """Terminate an answer that began with the message `first`, so that the client can tell that it is incomplete.

    A stream of events (WHATWG HTML section 9.2) gets one more event, `error`.  Any other answer is left unfinished, and
    the server closes the connection: a proper end would make half an answer look like a whole one.
    """
    if any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in first["headers"]):
        event = b"event: error\r\ndata: %b\r\n\r\n" % orjson.dumps(problem(refusal, trace_id, begun=True))
        await send({"type": "http.response.body", "body": event, "more_body": False})


def as_denied(error: Exception) -> Denied:
    """Return the refusal for what a handler or its framework raised, whose text would quote the caller or code."""
    if isinstance(error, Denied):
        return error
    if isinstance(error, RequestValidationError):
        places = (".".join(map(str, found["loc"])) for found in error.errors())
        return Denied(Reason.MALFORMED_BODY, ", ".join(places))
    if isinstance(error, HTTPException) and 400 <= error.status_code <= 599:
        return ApplicationError(error.status_code)
    return Denied(Reason.FAILED)


class DeniedResponse(Response):
    """The answer to a request whose handler raised, in the form of the gate's own refusals."""

    def __init__(self, refusal: Denied) -> None:
        super().__init__(status_code=refusal.status)
        self._refusal = refusal

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        request = REQUEST.get()
        await send_refusal(self._refusal, request.span.trace_id, send, request.form)
