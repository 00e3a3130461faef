"""Writes refusals in JSON-RPC 2.0, for the routes that use it (MCP and A2A).  Pure.

A refusal gets the error code that JSON-RPC or the protocol defines for it, or else one of three of our own.  Those are
in the range that both protocols leave to implementations (MCP 2026-07-28: -32000 to -32019; A2A 1.0 section 5.4 ends at
-32009).  No official SDK uses them: -32000 and -32001, for example, are a closed connection and a timeout in the MCP
SDKs.
"""

from collections.abc import Mapping
from typing import Any

from zerotrust.decision import Denied, Reason, ReasonCode
from zerotrust.dialect import Dialect, Form
from zerotrust.limits.strict_json import NotAnObject

LONGEST_ID = 100
"""Characters of a request's id, which is echoed."""

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INTERNAL_ERROR = -32700, -32600, -32601, -32603  # JSON-RPC section 5.1
UNSUPPORTED_VERSION = -32022  # MCP 2026-07-28
CONTENT_TYPE_NOT_SUPPORTED = -32005  # A2A 1.0 section 5.4
UNAUTHENTICATED, DENIED, UNAVAILABLE = -32010, -32011, -32012
"""Our own: the caller is not authenticated; is not allowed; the request cannot be decided or done now, try again."""

_BY_REASON: dict[ReasonCode, int] = {
    Reason.LEGACY_ERA: UNSUPPORTED_VERSION,
    Reason.UNSUPPORTED_CONTENT: CONTENT_TYPE_NOT_SUPPORTED,
}
_BY_STATUS = {
    401: UNAUTHENTICATED,
    403: DENIED,
    404: METHOD_NOT_FOUND,
    429: UNAVAILABLE,
    500: INTERNAL_ERROR,
    503: UNAVAILABLE,
}


def request_id(message: Mapping[str, Any]) -> str | int | None:
    """Return the id of a request, if it can be echoed."""
    found = message.get("id")
    return found if type(found) in (str, int) and len(str(found)) <= LONGEST_ID else None


def code(refusal: Denied, *, parsed: bool) -> int:
    """Return the error code of a refusal; `parsed` is whether its request's body was read and is a JSON object."""
    is_json = parsed or isinstance(refusal.__cause__, NotAnObject)  # such as an array (JSON-RPC section 5.1)
    if refusal.reason is Reason.MALFORMED_BODY and not is_json:
        return PARSE_ERROR
    return _BY_REASON.get(refusal.reason) or _BY_STATUS.get(refusal.status, INVALID_REQUEST)


def error_body(refusal: Denied, problem: dict[str, Any], form: Form) -> dict[str, Any]:
    """Return a refusal as a JSON-RPC error; for another body, the SDKs' clients would report an error of their own.

    `problem` (`responses.problem`) becomes `error.data`.
    """
    message = refusal.advice or problem["error"]
    error = {"code": code(refusal, parsed=form.parsed), "message": message, "data": problem}
    return {"jsonrpc": "2.0", "id": form.request_id, "error": error}


JSON_RPC = Dialect(error_body)
