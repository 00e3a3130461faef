"""How a door is spoken to: which bodies it takes, and what its errors look like.  Pure.

JSON-RPC, and other protocols, have errors of their own; a refusal that a client of such a protocol is to understand
has to look like one of them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from zerotrust.decision import Denied, Reason

ErrorBody = Callable[[Denied, dict[str, Any], "Form"], dict[str, Any]]
"""Makes the body of an error from a refusal and from what any refused caller is told."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one protocol makes of refusals, and the one media type that it takes, if it takes one alone."""

    error_body: ErrorBody
    media_type: bytes | None = None

    def check(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Raise `Denied` where the body is of another media type (RFC 9110 section 8.3.1)."""
        if self.media_type is None:
            return
        given = [value.partition(b";")[0].strip().lower() for name, value in headers if name == b"content-type"]
        if given != [self.media_type]:
            raise Denied(Reason.UNSUPPORTED_CONTENT, b", ".join(given).decode("latin-1"))


PLAIN = Dialect(lambda refusal, told, _form: told | ({"advice": refusal.advice} if refusal.advice else {}))
"""Refusals as they are, with the advice beside them where there is some."""


@dataclass(frozen=True, slots=True)
class Form:
    """How refusals of one request are worded, by whatever refuses it: the gate, or a handler."""

    metadata_url: str | None = None
    """Where callers find out how to get a token (RFC 9728), if that is told."""
    dialect: Dialect = PLAIN
    request_id: str | int | None = None
    parsed: bool = False
    """Whether the request's body was read and is JSON."""
