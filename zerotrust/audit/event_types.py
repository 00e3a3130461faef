"""What happened: each type of an event's data, with the fields that only it has.  Pure.

`docs/audit-events.md#what-happened` explains every type and field.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from zerotrust.audit.canonical import Shape
from zerotrust.audit.event_parts import Caller, Decided, Effect, Peer, Resource
from zerotrust.audit.forms import Id, Microseconds, SafeText, Sha256, Times

Action = Literal["suspend", "reinstate", "revoke", "drift", "reload", "activate", "rollback", "in_force"]
AlarmCause = Literal["unexplained", "silent", "unknown", "explained"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Shape):
    """The gate decided about a call; an allowed one is served once this event is on the disk."""

    type: Literal["request"] = "request"
    operation: SafeText
    decision: Decided
    peer: Peer | None = None
    principal: Caller | None = None
    permission: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Shape):
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
class Access(Shape):
    """A handler asked for a decision about one resource."""

    type: Literal["access"] = "access"
    operation: SafeText
    resource: Resource
    decision: Decided
    principal: Caller
    effect: Effect | None = None
    """What the act changes if it succeeds; if it does not, a refusal of the same span says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange(Shape):
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
class UntrustedPeer(Shape):
    """A party is not trusted, because its agent card or its tool descriptions are not as approved."""

    type: Literal["discovery"] = "discovery"
    party: Id
    decision: Decided


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal(Shape):
    """A handler refused a call that the gate had admitted."""

    type: Literal["refusal"] = "refusal"
    decision: Decided
    principal: Caller | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryChange(Shape):
    """The registry or the policy authority changed who may take part, or which rules apply."""

    type: Literal["administration"] = "administration"
    action: Action
    target: SafeText
    cause: SafeText | None = None
    peer: Peer | None = None
    principal: Caller | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unverified(Shape):
    """How often an unverified caller was refused, or used a public route."""

    origin: str
    reason: str
    times: Times


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated(Shape):
    """How often a verified caller repeated a call that had just been recorded in full."""

    operation: SafeText
    reason: str
    times: Times
    peer: Id | None = None
    party: Id | None = None
    subject: Id | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts(Shape):
    """The calls of the last second that were only counted."""

    type: Literal["counts"] = "counts"
    unverified: tuple[Unverified, ...] | None = None
    repeated: tuple[Repeated, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken(Shape):
    """A token that the issuer says it has issued in exchange for another one."""

    client: Id
    """Who asked for it: a party's SPIFFE ID."""
    token_id: Id
    time: Microseconds
    """By the issuer's clock."""
    audience: SafeText | None = None
    subject: Id | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued(Shape):
    """What the issuer's own events say of exchanges: those that are new, and until when there is no other one."""

    type: Literal["issued"] = "issued"
    until: Microseconds
    tokens: tuple[IssuedToken, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm(Shape):
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
class Resumed(Shape):
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
