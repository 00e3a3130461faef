"""Reads a request: one token, its proof, a trace to continue, and a body that is one strict JSON object.

It refuses what is malformed or too large; the gate decides the rest.
"""

import asyncio
import re
from collections.abc import Iterable
from typing import Any

from starlette.types import Message, Receive

from zerotrust.decision import Denied, Reason
from zerotrust.identity import UnverifiedToken
from zerotrust.limits.strict_json import strict_object

MAX_TOKEN = 8 * 1024
"""Bytes of a token: one with the deepest chain has about 3 KiB."""
MAX_PROOF = 2 * 1024
"""Bytes of a proof; one has about 500."""
MAX_BODY_SECONDS = 10
"""Seconds that receiving the body of a request may take: enough for the largest one at 100 KiB a second."""

ONLY_DPOP = "Without a client certificate, send Authorization: DPoP and a proof (RFC 9449): Bearer is refused."

Headers = Iterable[tuple[bytes, bytes]]

# base64url and dots.  With padding, which PyJWT accepts, a token would have two spellings.
_TOKEN_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
_TRACEPARENT = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")
"""A header of version 00, the only version (W3C Trace Context section 3.2)."""


def read_token(headers: Headers, *, scheme: bytes, hint: str | None) -> UnverifiedToken:
    """Return the one token of a request (RFC 6750 section 2.1); one in a query or a body is ignored.

    `scheme`: `bearer` or `dpop` (RFC 9449 section 7.1).  `hint`: the scope to name without a token.  Raises `Denied`.
    """
    given = [value for name, value in headers if name == b"authorization"]  # control: authorization-header-alone
    if not given:
        raise Denied(Reason.NO_TOKEN, scope=hint)
    if len(given) > 1:  # control: one-authorization-header
        raise Denied(Reason.MALFORMED_CREDENTIALS, "more than one Authorization header")
    kind, _, token = given[0].partition(b" ")  # control: header-holds-one-token
    if kind.lower() != scheme:  # control: token-scheme
        advice = ONLY_DPOP if scheme == b"dpop" else None
        raise Denied(Reason.UNSUPPORTED_SCHEME, scope=hint, advice=advice)
    if len(token) > MAX_TOKEN:  # control: token-size
        raise Denied(Reason.TOKEN_TOO_LARGE)
    if not token or token.translate(None, _TOKEN_BYTES):  # control: token-characters
        raise Denied(Reason.MALFORMED_CREDENTIALS)
    return UnverifiedToken(token.decode())


def read_proof(headers: Headers) -> str:
    """Return the one proof of a request, as it was sent (RFC 9449 section 4.3, check 1).  Raises `Denied`."""
    given = [value for name, value in headers if name == b"dpop"]
    if not given:
        raise Denied(Reason.NO_PROOF)
    if len(given) > 1:  # control: one-proof
        raise Denied(Reason.BAD_PROOF, "more than one DPoP header")
    if len(given[0]) > MAX_PROOF:  # control: proof-size
        raise Denied(Reason.BAD_PROOF, "too large")
    return given[0].decode("latin-1")


def trace(headers: Headers) -> tuple[str, str] | None:
    """Return the trace id and span id of a request's `traceparent`; None unless it has exactly one, and valid.

    W3C Trace Context sections 3.2 and 4.3.
    """
    given = [value for name, value in headers if name == b"traceparent"]
    found = _TRACEPARENT.fullmatch(given[0]) if len(given) == 1 else None
    return (found[1].decode(), found[2].decode()) if found else None


async def read_body(headers: Headers, receive: Receive, *, most: int) -> tuple[Receive, bytes]:
    """Read a body of at most `most` bytes.  Return it, and a `receive` that replays it byte for byte.

    Raises `Denied`.
    """
    raw, more = bytearray(), True
    try:
        if any(name == b"content-length" and int(value) > most for name, value in headers):  # control: content-length
            raise Denied(Reason.BODY_TOO_LARGE)
        async with asyncio.timeout(MAX_BODY_SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Denied(Reason.MALFORMED_BODY, "the caller left")
                raw += message.get("body", b"")
                more = message.get("more_body", False)
                if len(raw) > most:  # control: body-size
                    raise Denied(Reason.BODY_TOO_LARGE)
    except TimeoutError as error:
        raise Denied(Reason.BODY_TOO_SLOW) from error
    except ValueError as error:
        raise Denied(Reason.MALFORMED_BODY, str(error)) from error
    read = bytes(raw)
    again: list[Message] = [{"type": "http.request", "body": read, "more_body": False}]

    async def replay() -> Message:
        return again.pop() if again else await receive()  # the real one follows, which reports a disconnect

    return replay, read


async def read_json_body(headers: Headers, receive: Receive, *, most: int) -> tuple[Receive, dict[str, Any]]:
    """Do as `read_body`, and parse the body: empty, or one strict JSON object.  Raises `Denied`."""
    receive, raw = await read_body(headers, receive, most=most)
    try:
        return receive, strict_object(raw) if raw else {}
    except ValueError as error:
        raise Denied(Reason.MALFORMED_BODY, str(error)) from error
