"""How a refusal is sent: as the answer, or as the end of an answer that has begun."""

from typing import Any

import orjson
from starlette.types import Message, Send

from zerotrust.errors import Refusal
from zerotrust.mcp import error_body


def problem(refusal: Refusal, trace_id: str) -> dict[str, Any]:
    """What a refused caller is told."""
    told: dict[str, Any] = {"error": refusal.error or "unauthorized", "reason": refusal.told, "trace_id": trace_id}
    return told | ({"scope": refusal.scope} if refusal.scope else {})


async def send_refusal(
    refusal: Refusal,
    trace_id: str,
    send: Send,
    *,
    metadata_url: str | None = None,
    rpc: tuple[str | int | None] | None = None,
) -> None:
    """Send a refusal as the answer; `rpc` holds the request id where the caller expects JSON-RPC."""
    told = problem(refusal, trace_id)
    body = orjson.dumps(error_body(rpc[0], told) if rpc else told)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        *refusal.headers(metadata_url),
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
