"""Describes the protocol of a route: the media type that it accepts, and the format of its errors.  Pure.

JSON-RPC and other protocols define their own error formats, and their clients understand a refusal only in that format.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from zerotrust.decision import Denied, Reason
from zerotrust.possession import KEYS

ErrorBody = Callable[[Denied, dict[str, Any], "Form"], dict[str, Any]]
"""Makes the body of an error from a refusal, its problem object (`responses.problem`) and the request's form."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The error format of one protocol, and its one media type, if it accepts one only."""

    error_body: ErrorBody
    media_type: bytes | None = None

    def check(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Raise `Denied` if the body is of another media type (RFC 9110 section 8.3.1)."""
        if self.media_type is None:
            return
        given = [value.partition(b";")[0].strip().lower() for name, value in headers if name == b"content-type"]
        if given != [self.media_type]:
            raise Denied(Reason.UNSUPPORTED_CONTENT, b", ".join(given).decode("latin-1"))


_ALGORITHMS = " ".join(name for names, _ in KEYS.values() for name in names)
BEARER, DPOP = 'Bearer realm="zero-trust"', f'DPoP realm="zero-trust", algs="{_ALGORITHMS}"'
"""The challenges for callers with and without a certificate (RFC 6750 section 3, RFC 9449 section 7.1)."""

PLAIN = Dialect(lambda refusal, problem, _form: problem | ({"advice": refusal.advice} if refusal.advice else {}))
"""The problem object itself, with the advice, if there is any."""


@dataclass(frozen=True, slots=True)
class Form:
    """The form of the refusals of one request, by the gate or by a handler."""

    metadata_url: str | None = None
    """The address of the resource metadata (RFC 9728), by which clients find an issuer; None if it is not published."""
    dialect: Dialect = PLAIN
    request_id: str | int | None = None
    parsed: bool = False
    """Whether the request's body was read and is a JSON object."""
    challenge: str = BEARER
    """The credentials that the caller has to send (RFC 9110 section 11.6.1)."""
