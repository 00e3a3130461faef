"""What a request brings along: one bearer token, a trace to continue, and a body that is one strict JSON object.

Read, and nothing more: whether any of it is good is the gate's to say.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from opentelemetry.trace import format_span_id, format_trace_id, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Message, Receive

from zerotrust.decision import Denied, Reason
from zerotrust.identity import UnverifiedToken
from zerotrust.limits.strict_json import strict_object

MAX_TOKEN = 8 * 1024
MAX_BODY_SECONDS = 10
"""How long the body of a request may take to come in."""

Headers = Iterable[tuple[bytes, bytes]]

# base64url and dots; with padding, which PyJWT accepts, a token would have two spellings.
_TOKEN_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
_PROPAGATOR = TraceContextTextMapPropagator()


def bearer(headers: Headers, *, hint: str | None) -> UnverifiedToken:
    """The one bearer token of a request (RFC 6750 section 2.1); in a query or a body it is as if absent.

    `hint`: the scope to name where there is none.  Raises `Denied`.
    """
    given = [value for name, value in headers if name == b"authorization"]
    if not given:
        raise Denied(Reason.NO_TOKEN, scope=hint)
    if len(given) > 1:
        raise Denied(Reason.MALFORMED_CREDENTIALS, "more than one Authorization header")
    kind, _, token = given[0].partition(b" ")
    if kind.lower() != b"bearer":
        raise Denied(Reason.UNSUPPORTED_SCHEME, scope=hint)
    if len(token) > MAX_TOKEN:
        raise Denied(Reason.TOKEN_TOO_LARGE)
    if not token or token.translate(None, _TOKEN_BYTES):
        raise Denied(Reason.MALFORMED_CREDENTIALS)
    return UnverifiedToken(token.decode())


def trace(headers: Headers) -> tuple[str, str] | None:
    """The ids of the trace and of the span that a request says it comes from; None where it says none, or two.

    W3C Trace Context sections 3.2 and 4.3.
    """
    given = [value for name, value in headers if name == b"traceparent"]
    if len(given) != 1:
        return None
    context = _PROPAGATOR.extract({"traceparent": given[0].decode("latin-1")})
    caller = get_current_span(context).get_span_context()
    return (format_trace_id(caller.trace_id), format_span_id(caller.span_id)) if caller.is_valid else None


async def whole(headers: Headers, receive: Receive, *, most: int) -> tuple[Receive, bytes]:
    """Read the body, whatever it is, up to so many bytes.

    It is given back byte for byte to whoever reads next.  Raises `Denied`.
    """
    raw, more = bytearray(), True
    try:
        if any(name == b"content-length" and int(value) > most for name, value in headers):
            raise Denied(Reason.BODY_TOO_LARGE)
        async with asyncio.timeout(MAX_BODY_SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Denied(Reason.MALFORMED_BODY, "the caller left")
                raw += message.get("body", b"")
                more = message.get("more_body", False)
                if len(raw) > most:
                    raise Denied(Reason.BODY_TOO_LARGE)
    except TimeoutError as error:
        raise Denied(Reason.BODY_TOO_SLOW) from error
    except ValueError as error:
        raise Denied(Reason.MALFORMED_BODY, str(error)) from error
    read = bytes(raw)
    again: list[Message] = [{"type": "http.request", "body": read, "more_body": False}]

    async def replay() -> Message:
        return again.pop() if again else await receive()  # then the real one: it tells when the caller leaves

    return replay, read


async def body(headers: Headers, receive: Receive, *, most: int) -> tuple[Receive, dict[str, Any]]:
    """The same for a body that is nothing at all, or one strict JSON object.  Raises `Denied`."""
    receive, raw = await whole(headers, receive, most=most)
    try:
        return receive, strict_object(raw) if raw else {}
    except ValueError as error:
        raise Denied(Reason.MALFORMED_BODY, str(error)) from error
