"""The parts of events: who called, in which request, and what was decided about which resource.  Pure.

`docs/reference/audit-events.md#parts` explains every field.
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
    as_name,
    sanitize,
)
from zerotrust.decision import Decision
from zerotrust.identity import Principal
from zerotrust.limits.bounded import Bounded

DESCRIBED, LONGEST_DESCRIBED = 1_000, 8_192
"""Callers whose description is cached, because it is the same in all records of a token; and bytes of one: a token has
no more, and a party can write longer ones into its records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace(Shape):
    """The request that an event belongs to (W3C Trace Context); ids are lower-case hexadecimal.

    All events of one request have the same `span_id`, so it leads from a request to its outcome.
    """

    trace_id: TraceId
    """The trace that the request belongs to."""
    span_id: SpanId
    """This service's handling of the request."""
    parent_id: SpanId | None = None
    """The span of the party that sent the request; only a party of ours can name one."""
    caller_trace_id: TraceId | None = None
    """The trace that a caller without a certificate named: recorded, but not continued."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer(Shape):
    """The party at the other end of the connection, by its certificate.

    It differs from the `party` of the principal where a token was stolen.
    """

    id: SpiffeId


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller(Shape):
    """The claims of a caller's verified token; never the token itself."""

    subject: Id
    """The user (`sub`); or the party itself, if it operates for no user."""
    party: Id
    """The party that presents the token (`azp`): a SPIFFE ID, or the name of a user's client."""
    actors: tuple[Id, ...]
    """The parties that act for the user (`act`), the current actor first."""
    audience: Id
    """The party that the token is for (`aud`)."""
    scopes: tuple[str, ...]
    """Sorted."""
    groups: tuple[str, ...]
    """The user's groups, sorted."""
    token_id: Id
    """`jti`."""
    lineage: tuple[Id, ...]
    """The ids of the tokens that it was exchanged from, the root first."""
    transaction: Id
    """The id of the root: the same for all tokens that were exchanged from it."""
    session: Id | None = None
    """The user's session at the issuer (`sid`); none if there is no user."""
    client: Id
    """The client that the user signed in with; or the party itself, if it operates for no user."""
    chain_started_at: Microseconds
    """When the root was issued."""
    issued_at: Microseconds
    """`iat`."""
    expires_at: Microseconds
    """`exp`."""

    @classmethod
    @lru_cache(DESCRIBED)
    def of(cls, principal: Principal) -> "Caller":
        """Return the caller of a principal; times become microseconds."""
        content = {name: getattr(principal, name) for name in cls.__slots__}
        content |= {"scopes": tuple(sorted(map(as_name, principal.scopes))), "groups": tuple(sorted(principal.groups))}
        content["session"] = principal.session or None
        content |= {name: content[name] * MICROSECONDS for name in ("chain_started_at", "issued_at", "expires_at")}
        return cls(**content)

    def members(self) -> orjson.Fragment:
        """Return the canonical bytes, which are the same in all records of a token."""
        if (known := _described.get(self)) is None:
            raw = canonical(Shape.members(self))
            known = orjson.Fragment(raw)
            if len(raw) <= LONGEST_DESCRIBED:
                _described[self] = known
        return known


_described = Bounded[Caller, orjson.Fragment](DESCRIBED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy(Shape):
    """The policies that were evaluated."""

    version: str
    """`NUMBER-` and 12 digits of the digest over rules and schema; `none` before the first."""
    rules: tuple[str, ...] | None = None
    """The ids (`@id`) of the rules that permitted it, sorted; a refusal has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided(Shape):
    """A decision: allowed or not, and why."""

    allowed: bool
    reason: str
    """`granted`, or why not."""
    detail: SafeText | None = None
    """More, for readers of the journal: no caller gets it."""
    policy: Policy | None = None
    """The policies that decided, or that would have if nothing before them had refused."""

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
    """As the policies name it."""
    name: SafeText
    """Which one."""
    attributes: dict[str, SafeText] | None = None
    """The attributes that were sent to the policies, if they refused: they explain the refusal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect(Shape):
    """The change by an act, as SHA-256 of the resource.

    At the documents tool it is of the document's canonical JSON (RFC 8785).  It reveals no text, but a reader who
    guesses the whole document can confirm it.
    """

    before: Sha256 | None = None
    """Before the act; without it, the resource is new."""
    after: Sha256 | None = None
    """After the act; without it, the resource is gone."""
