"""The form of a receipt: the statement of one party about one request that it answered.  Pure.

It is the payload of a JWS (`spiffe/statement.py`), whose certificate alone names the signer.  It is canonical JSON (RFC
8785), and a member that does not apply is left out.  A digest is a SHA-256 in hexadecimal, as in a record of a journal,
so that both can be compared as they are.  `docs/reference/receipts.md` explains every field.
"""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from zerotrust.audit.canonical import Shape, canonical
from zerotrust.audit.forms import Id, SafeText, Sha256, SpiffeId
from zerotrust.limits.strict_json import EXACT

KIND = "receipt+jwt"
"""The type in the header of a receipt: no other statement has it (RFC 8725 section 3.11)."""
MAX_CALLS = 256
"""Calls and exchanges in one receipt.  An agent makes some 80 calls for a task at most (`agent_loop.py`)."""
MAX_RESOURCES = 256
"""Resources in one receipt."""
MAX_SECONDS = 253_402_300_799
"""The last second of the year 9999, which is the last of Python's dates and of a certificate (RFC 5280)."""

NOT_CALLED, NOT_SENT, NO_ANSWER, OUTSIDE, NONE, NO_ROOM = (
    "not_called",  # the token was not used
    "not_sent",  # there was no connection
    "no_answer",  # or no whole one
    "outside",  # a server that is no party
    "none",  # the answer had none, or not in the right form
    "no_room",  # more receipts than one answer may carry
)
"""Why a call has no receipt; the others are the reasons of refusals (`decision.py`)."""

Seconds = Annotated[int, Field(ge=0, le=MAX_SECONDS)]
"""Since 1970-01-01 UTC, as in a token (RFC 7519 section 2)."""
Code = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,63}$")]
"""Why something was refused or is missing."""
CallId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}-[0-9a-f]{16}$")]
"""The ids of trace and span (W3C Trace Context), as in the records of the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown(Shape):
    """The token that the caller presented; never the token itself."""

    jti: Id
    azp: Id
    """The party that it was issued to."""
    aud: SpiffeId
    lineage: tuple[Id, ...]
    """The ids of the tokens that it was exchanged from, the root first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Shape):
    """One call that the signer made for this request, or one token that it asked for and did not use."""

    aud: Id
    """The party that was called: a SPIFFE ID, or the name of a server outside."""
    token: Id | None = None
    """The `jti` of the token that was sent; absent if none was issued."""
    request: Sha256 | None = None
    """Digest of the content as it was sent; absent if nothing was sent."""
    answer: Sha256 | None = None
    """Digest of the content as it was received, with the value of its receipts emptied."""
    receipt: Sha256 | None = None
    """Digest of the receipt that came with the answer."""
    reason: Code | None = None
    """Why there is no receipt; it replaces `receipt`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded(Shape):
    """The record of the call's admission in the signer's journal."""

    n: Annotated[int, Field(ge=1, le=EXACT)]
    sha256: Sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt(Shape):
    """The statement of one party about one request."""

    id: CallId
    txn: Id
    """The transaction: the `jti` of the user's own token."""
    began: Seconds
    iat: Seconds
    """When the answer was complete, and this was signed."""
    caller: SpiffeId | None = None
    """The other end of the connection, by its certificate; absent for a user's client, which has none."""
    token: Shown
    request: Sha256 | None = None
    """Digest of the content as it was received; absent if the signer did not read it to its end."""
    answer: Sha256
    """Digest of the content as it was sent, with the value of its receipts emptied."""
    status: Annotated[int, Field(ge=0, le=999)]
    verdict: Literal["done", "refused", "failed", "unclear"]
    reason: Code | None = None
    operation: SafeText
    permission: str | None = None
    resources: Annotated[tuple[SafeText, ...], Field(max_length=MAX_RESOURCES)]
    """Those that the policies were asked about, as `kind name`."""
    policy: str
    code: Sha256 | None = None
    """Digest of the signer's approved code."""
    calls: Annotated[tuple[Asked, ...], Field(max_length=MAX_CALLS)]
    journal: Recorded | None = None

    def payload(self) -> bytes:
        return canonical(self)


def digest_of(receipt: str) -> str:
    """Return the digest that names a receipt, from its JWS."""
    return hashlib.sha256(receipt.encode()).hexdigest()
