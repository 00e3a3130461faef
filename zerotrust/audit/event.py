"""The content of a record: one typed, versioned event, and its canonical bytes.  Pure.

The bytes are JSON in the canonical form of RFC 8785, so that a verifier in any language gets the same digest from the
same event.  They are chained, signed and put into a Merkle tree, so schema 1 never changes: a different event needs
another schema.  Three rules hold everywhere:

- A member that does not apply is left out.  Nothing is null.
- Every time and every duration is an integer in microseconds; times count from 1970-01-01 UTC.
- Text from outside is `Text`, and only `sanitize` makes it.  No event contains a token, a secret or a document.
- Ids and digests have a form, which is checked when an event is parsed.

`docs/audit-events.md` explains every event and field.
"""

import re
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from typing import Annotated, Any, Literal, NewType

import orjson
from pydantic import ConfigDict, Field, TypeAdapter

from zerotrust.decision import Decision
from zerotrust.identity import Principal

SCHEMA: Literal[1] = 1
MICROSECONDS = 1_000_000
"""In a second."""

DESCRIBED = 1_000
"""Callers whose description is remembered, which is the same in all records of a token."""

AlarmCause = Literal["unexplained", "silent", "unknown", "explained"]

Action = Literal["suspend", "reinstate", "revoke", "drift", "reload", "activate", "rollback"]

Text = NewType("Text", str)
"""Text from outside, made safe for a record by `sanitize`."""
SafeText = Annotated[Text, Field(pattern=r"^[\x20-\x7e]*$")]
SpiffeId = Annotated[str, Field(pattern=r"^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)+$")]
Id = Annotated[str, Field(pattern=r"^[\x21-\x7e]+$")]
"""An id of a verified token: of a user, a session, a token, or a party, which may be a client without a SPIFFE ID."""
TraceId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
SpanId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Microseconds = Annotated[int, Field(ge=0)]
Times = Annotated[int, Field(ge=1)]
"""How often; what did not happen is not counted."""

_TOKEN = re.compile(r"eyJ[\w.-]*")
"""A JWT: it begins with `{"` in base64."""


def sanitize(text: str) -> Text:
    """Return text from outside in a form that is safe in a record: 200 characters of it, ASCII only, without tokens."""
    if text.isascii() and text.isprintable() and "\\" not in text and "eyJ" not in text:
        return Text(text[:200])  # as almost all texts: what follows would change nothing else
    return Text(_TOKEN.sub("(a token)", text[:200]).encode("unicode_escape").decode())  # control: tokens-not-recorded


@dataclass(frozen=True, slots=True)
class _Shape:
    """Parsed strictly: an unknown field or a value of another type is an error."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace(_Shape):
    """The request that an event belongs to (W3C Trace Context); ids are lower-case hexadecimal."""

    trace_id: TraceId
    span_id: SpanId
    parent_id: SpanId | None = None
    """The span of the party that sent the request."""
    caller_trace_id: TraceId | None = None
    """The trace of a caller that may not continue it here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer(_Shape):
    """The party at the other end of the connection, by its certificate."""

    id: SpiffeId
    measurement: Sha256 | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller(_Shape):
    """The claims of a caller's verified token; never the token itself."""

    subject: Id
    party: Id
    actors: tuple[Id, ...]
    audience: SpiffeId
    scopes: tuple[str, ...]
    groups: tuple[str, ...]
    token_id: Id
    lineage: tuple[Id, ...]
    transaction: Id
    session: Id
    client: Id
    chain_started_at: Microseconds
    issued_at: Microseconds
    expires_at: Microseconds

    @classmethod
    @lru_cache(DESCRIBED)
    def of(cls, principal: Principal) -> "Caller":
        """Return the caller of a principal; times become microseconds."""
        content = {name: getattr(principal, name) for name in _NAMES[cls]}
        content |= {name: tuple(sorted(content[name])) for name in ("scopes", "groups")}
        content |= {name: content[name] * MICROSECONDS for name in ("chain_started_at", "issued_at", "expires_at")}
        return cls(**content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy(_Shape):
    """The policies that were evaluated."""

    version: str
    rules: tuple[str, ...] | None = None
    """The ids of the rules that permitted it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided(_Shape):
    """A decision: allowed or not, and why."""

    allowed: bool
    reason: str
    detail: SafeText | None = None
    policy: Policy | None = None

    @classmethod
    def of(cls, decision: Decision, policy: str | None = None) -> "Decided":
        """Return a decision as it is recorded; `policy` is the policy version, if policies were evaluated."""
        return cls(
            allowed=decision.allowed,
            reason=decision.reason,
            detail=sanitize(decision.detail) if decision.detail else None,
            policy=Policy(version=decision.policy or policy, rules=decision.rules or None) if policy else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource(_Shape):
    """The resource of an access."""

    kind: str
    name: SafeText
    attributes: dict[str, SafeText] | None = None
    """Of a refused one: what the policies were told of it, so that the refusal can be explained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect(_Shape):
    """The change by an act: SHA-256 of the resource before (none: it is new) and after (none: it was deleted)."""

    before: Sha256 | None = None
    after: Sha256 | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(_Shape):
    """The gate decided about a call; an allowed one is served once this event is on the disk."""

    type: Literal["request"] = "request"
    operation: SafeText
    decision: Decided
    peer: Peer | None = None
    principal: Caller | None = None
    permission: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(_Shape):
    """How a call ended that was admitted, and digests of its request and answer."""

    type: Literal["outcome"] = "outcome"
    ended: Literal["complete", "cut_off", "failed"]
    duration: Microseconds
    request_sha256: Sha256
    answer_sha256: Sha256
    status: int | None = None
    receipt: Sha256 | None = None
    """Of the signed receipt that went with the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access(_Shape):
    """A handler asked for a decision about one resource."""

    type: Literal["access"] = "access"
    operation: SafeText
    resource: Resource
    decision: Decided
    principal: Caller
    effect: Effect | None = None
    """What the act changes if it succeeds; if it does not, a refusal of the same span says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange(_Shape):
    """A token was exchanged for one for another party, or the exchange was refused."""

    type: Literal["exchange"] = "exchange"
    audience: Id
    scopes: tuple[str, ...]
    decision: Decided
    principal: Caller
    parent_token_id: Id
    token_id: str | None = None
    department: SafeText | None = None
    lifetime: Microseconds | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UntrustedPeer(_Shape):
    """A party is not trusted, because its agent card or its tool descriptions are not as approved."""

    type: Literal["discovery"] = "discovery"
    party: Id
    decision: Decided


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal(_Shape):
    """A handler refused a call that the gate had admitted."""

    type: Literal["refusal"] = "refusal"
    decision: Decided
    principal: Caller | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryChange(_Shape):
    """The registry or the policy authority changed who may take part, or which rules apply."""

    type: Literal["administration"] = "administration"
    action: Action
    target: SafeText
    cause: SafeText | None = None
    peer: Peer | None = None
    principal: Caller | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unverified(_Shape):
    """How often an unverified caller was refused, or used a public route."""

    origin: str
    reason: str
    times: Times


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated(_Shape):
    """How often a verified caller repeated a call that had just been recorded in full."""

    operation: SafeText
    reason: str
    times: Times
    peer: Id | None = None
    party: Id | None = None
    subject: Id | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts(_Shape):
    """The calls of the last second that were only counted."""

    type: Literal["counts"] = "counts"
    unverified: tuple[Unverified, ...] | None = None
    repeated: tuple[Repeated, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken(_Shape):
    """A token that the issuer says it has issued in exchange for another one."""

    client: Id
    """Who asked for it: a party's SPIFFE ID."""
    token_id: Id
    time: Microseconds
    """By the issuer's clock."""
    audience: SafeText | None = None
    subject: Id | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued(_Shape):
    """What the issuer's own events say of exchanges: those that are new, and until when there is no other one."""

    type: Literal["issued"] = "issued"
    until: Microseconds
    tokens: tuple[IssuedToken, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm(_Shape):
    """The issuer's exchanges and those in the journals are not the same."""

    type: Literal["alarm"] = "alarm"
    cause: AlarmCause
    party: Id
    """Who exchanged the token, as the issuer says, or as its own journal says if the issuer knows nothing of it."""
    token_id: Id
    at: Microseconds
    """When it was issued."""
    subject: Id | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed(_Shape):
    """The audit log has records of this journal that it did not have, and the journal goes on behind them."""

    type: Literal["resumed"] = "resumed"
    same: Annotated[int, Field(ge=0)]
    """Up to this record, the log has what the journal had."""
    foreign: Times
    """So many records after that one, in the log, were not in the journal."""
    cause: SafeText
    aside: Times | None = None
    """So many of the journal's own records were set aside; their events follow again."""
    aside_sha256: Sha256 | None = None
    """Of the last one of these, whose chain names all of them."""


Data = (
    Request | Outcome | Access | Exchange | UntrustedPeer | Refusal | RegistryChange | Counts | Issued | Alarm | Resumed
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent(_Shape):
    """One event of one service."""

    schema: Literal[1]
    time: Microseconds
    service: SpiffeId
    data: Annotated[Data, Field(discriminator="type")]
    trace: Trace | None = None
    measurement: Sha256 | None = None

    def canonical(self) -> bytes:
        """Return the event in the canonical form of RFC 8785.  Raises `TypeError` if it has no such form.

        orjson writes that form for the contents of an event: ASCII names, integers of at most 53 bits, no fractions.
        """
        return orjson.dumps(self, _content, _CANONICAL)

    @classmethod
    def parse(cls, raw: bytes) -> "AuditEvent":
        """Parse canonical bytes.  Raises `ValueError` for another schema, unknown fields and non-canonical bytes."""
        event = _reader().validate_json(raw)
        try:
            same = event.canonical() == raw
        except TypeError as error:  # as of a number with more than 53 bits
            raise ValueError(f"no canonical form: {error}") from error
        if not same:
            raise ValueError("not in canonical form")
        return event


def is_valid(data: Data) -> bool:
    """Return whether a record may say this: `AuditEvent.parse` takes only what has the forms of schema 1."""
    try:
        AuditEvent.parse(AuditEvent(schema=1, time=0, service="spiffe://any/service", data=data).canonical())
    except (TypeError, ValueError):
        return False
    return True


_CANONICAL = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER


@cache
def _reader() -> TypeAdapter[AuditEvent]:
    return TypeAdapter(AuditEvent)


_NAMES = {shape: tuple(field.name for field in fields(shape)) for shape in _Shape.__subclasses__()}


def _content(shape: Any) -> dict[str, Any] | orjson.Fragment:
    return _described(shape) if isinstance(shape, Caller) else _members(shape)


def _members(shape: Any) -> dict[str, Any]:
    return {name: value for name in _NAMES[type(shape)] if (value := getattr(shape, name)) is not None}


@lru_cache(DESCRIBED)
def _described(caller: Caller) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps(_members(caller), option=_CANONICAL))
