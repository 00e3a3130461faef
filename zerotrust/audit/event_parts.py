"""The parts of events: who called, in which request, and what was decided about which resource.  Pure.

`docs/audit-events.md#parts` explains every field.
"""

from dataclasses import dataclass
from functools import lru_cache

import orjson

from zerotrust.audit.canonical import Shape, canonical
from zerotrust.audit.forms import (
    MICROSECONDS,
    Id,
    Microseconds,
    SafeText,
    Sha256,
    SpanId,
    SpiffeId,
    TraceId,
    named,
    sanitize,
)
from zerotrust.decision import Decision
from zerotrust.identity import Principal

DESCRIBED = 1_000
"""Callers whose description is remembered, which is the same in all records of a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace(Shape):
    """The request that an event belongs to (W3C Trace Context); ids are lower-case hexadecimal."""

    trace_id: TraceId
    span_id: SpanId
    parent_id: SpanId | None = None
    """The span of the party that sent the request."""
    caller_trace_id: TraceId | None = None
    """The trace of a caller that may not continue it here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer(Shape):
    """The party at the other end of the connection, by its certificate."""

    id: SpiffeId
    measurement: Sha256 | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller(Shape):
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
        content = {name: getattr(principal, name) for name in cls.__slots__}
        content |= {"scopes": tuple(sorted(map(named, principal.scopes))), "groups": tuple(sorted(principal.groups))}
        content |= {name: content[name] * MICROSECONDS for name in ("chain_started_at", "issued_at", "expires_at")}
        return cls(**content)

    def members(self) -> orjson.Fragment:
        """Return the canonical bytes, which are the same in all records of a token."""
        return _described(self)


@lru_cache(DESCRIBED)
def _described(caller: Caller) -> orjson.Fragment:
    return orjson.Fragment(canonical(Shape.members(caller)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy(Shape):
    """The policies that were evaluated."""

    version: str
    rules: tuple[str, ...] | None = None
    """The ids of the rules that permitted it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided(Shape):
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
class Resource(Shape):
    """The resource of an access."""

    kind: str
    name: SafeText
    attributes: dict[str, SafeText] | None = None
    """Of a refused one: what the policies were told of it, so that the refusal can be explained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect(Shape):
    """The change by an act: SHA-256 of the resource before (none: it is new) and after (none: it was deleted)."""

    before: Sha256 | None = None
    after: Sha256 | None = None
