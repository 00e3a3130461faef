"""What a record says: one typed, versioned event, and its canonical bytes.  Pure.

The bytes are JSON in the canonical form of RFC 8785, so that a verifier in any language gets the same digest from the
same event.  They are what is chained, signed and put into a Merkle tree, so schema 1 never changes: what has to be said
otherwise is said in another schema.  Three rules hold everywhere:

- What does not apply is left out.  Nothing is null.
- Every time and every duration is an integer in microseconds; times count from 1970-01-01 UTC.
- Text that others chose is `Text`, and only `plain` makes it.  No token, secret, or document is in any event.

`docs/audit-events.md` explains every event and field.
"""

import re
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, Literal, NewType

import orjson
from pydantic import ConfigDict, Field, TypeAdapter

from zerotrust.decision import Decision
from zerotrust.identity import Principal

SCHEMA: Literal[1] = 1
MICROSECONDS = 1_000_000
"""In a second."""

Action = Literal["suspend", "reinstate", "revoke", "drift", "reload"]

Text = NewType("Text", str)
"""Text from outside, fit to be read in a record."""

_TOKEN = re.compile(r"eyJ[\w.-]*")
"""What every JWT begins with: `{"`, in base64."""


def sanitize(text: str) -> Text:
    """Make text from outside fit for a record: at most 200 characters of it, printable ASCII only, and no token."""
    return Text(_TOKEN.sub("(a token)", text[:200]).encode("unicode_escape").decode())


@dataclass(frozen=True, slots=True)
class _Shape:
    """Read strictly: an unknown field, or a value of another type, is an error."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace(_Shape):
    """The request that an event belongs to (W3C Trace Context); ids are lower-case hexadecimal."""

    trace_id: str
    span_id: str
    parent_id: str | None = None
    """The span of the party that sent the request."""
    caller_trace_id: str | None = None
    """The trace that a caller named who may not continue one here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer(_Shape):
    """The other end of the connection, by its certificate."""

    id: str
    measurement: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller(_Shape):
    """What the verified token of a caller says; never the token."""

    subject: str
    party: str
    actors: tuple[str, ...]
    audience: str
    scopes: tuple[str, ...]
    groups: tuple[str, ...]
    token_id: str
    lineage: tuple[str, ...]
    transaction: str
    session: str
    client: str
    chain_started_at: int
    issued_at: int
    expires_at: int

    @classmethod
    def of(cls, principal: Principal) -> "Caller":
        """Take over what a token says; times become microseconds."""
        return cls(
            subject=principal.subject,
            party=principal.party,
            actors=principal.actors,
            audience=principal.audience,
            scopes=tuple(sorted(principal.scopes)),
            groups=tuple(sorted(principal.groups)),
            token_id=principal.token_id,
            lineage=principal.lineage,
            transaction=principal.transaction,
            session=principal.session,
            client=principal.client,
            chain_started_at=principal.chain_started_at * MICROSECONDS,
            issued_at=principal.issued_at * MICROSECONDS,
            expires_at=principal.expires_at * MICROSECONDS,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy(_Shape):
    """The policies that a decision was made by."""

    version: str
    rules: tuple[str, ...] | None = None
    """The ids of the rules that decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided(_Shape):
    """A decision: whether it was a yes, and why."""

    allowed: bool
    reason: str
    detail: Text | None = None
    policy: Policy | None = None

    @classmethod
    def of(cls, decision: Decision, policy: str | None = None) -> "Decided":
        """Take over a decision; `policy` is the version of the policies, where they were asked."""
        return cls(
            allowed=decision.allowed,
            reason=decision.reason,
            detail=sanitize(decision.detail) if decision.detail else None,
            policy=Policy(version=policy) if policy else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource(_Shape):
    """What an access is about."""

    kind: str
    name: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect(_Shape):
    """What an act changed: SHA-256 of the resource before (none: it is new) and after (none: it is gone)."""

    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(_Shape):
    """The gate has decided about a call; an allowed one is served once this is on the disk."""

    type: Literal["request"] = "request"
    operation: Text
    decision: Decided
    peer: Peer | None = None
    principal: Caller | None = None
    permission: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(_Shape):
    """What came of a call that was let in: the answer as it left."""

    type: Literal["outcome"] = "outcome"
    ended: Literal["complete", "cut_off", "failed"]
    duration: int
    request_sha256: str
    answer_sha256: str
    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Access(_Shape):
    """A handler has had a decision made about one resource."""

    type: Literal["access"] = "access"
    operation: Text
    resource: Resource
    decision: Decided
    principal: Caller
    effect: Effect | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange(_Shape):
    """A token was exchanged for one for another party, or was not."""

    type: Literal["exchange"] = "exchange"
    audience: str
    scopes: tuple[str, ...]
    decision: Decided
    principal: Caller
    parent_token_id: str
    token_id: str | None = None
    department: Text | None = None
    lifetime: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery(_Shape):
    """A party is not used: its card, or what it says of its tools, is not as approved."""

    type: Literal["discovery"] = "discovery"
    party: str
    decision: Decided


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal(_Shape):
    """A handler has refused what the gate had let in."""

    type: Literal["refusal"] = "refusal"
    decision: Decided
    principal: Caller | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Administration(_Shape):
    """The registry has changed who may take part."""

    type: Literal["administration"] = "administration"
    action: Action
    target: Text
    cause: Text | None = None
    peer: Peer | None = None
    principal: Caller | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unverified(_Shape):
    """How often a caller who was not verified was refused, or used a public route."""

    origin: str
    reason: str
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated(_Shape):
    """How often a verified caller repeated what had been written in full a moment before."""

    operation: Text
    reason: str
    times: int
    peer: str | None = None
    party: str | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts(_Shape):
    """What was only counted within the last second."""

    type: Literal["counts"] = "counts"
    unverified: tuple[Unverified, ...] | None = None
    repeated: tuple[Repeated, ...] | None = None


Data = Request | Outcome | Access | Exchange | Discovery | Refusal | Administration | Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent(_Shape):
    """One event of one service."""

    schema: Literal[1]
    time: int
    service: str
    data: Annotated[Data, Field(discriminator="type")]
    trace: Trace | None = None
    measurement: str | None = None

    def canonical(self) -> bytes:
        """Return the event in the canonical form of RFC 8785.  Raises `TypeError` where it cannot be written.

        orjson writes that form for what is in an event: ASCII names, integers of at most 53 bits, and no fraction.
        """
        return orjson.dumps(self, _content, _CANONICAL)

    @classmethod
    def parse(cls, raw: bytes) -> "AuditEvent":
        """Read canonical bytes.  Raises `ValueError` for another schema, unknown fields, and any other spelling."""
        event = _reader().validate_json(raw)
        if event.canonical() != raw:
            raise ValueError("not in canonical form")
        return event


_CANONICAL = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER


@cache
def _reader() -> TypeAdapter[AuditEvent]:
    return TypeAdapter(AuditEvent)


_NAMES = {shape: tuple(field.name for field in fields(shape)) for shape in _Shape.__subclasses__()}


def _content(shape: Any) -> dict[str, Any]:
    return {name: value for name in _NAMES[type(shape)] if (value := getattr(shape, name)) is not None}
