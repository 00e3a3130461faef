"""The types of an event's data, each with the fields that only it has.  Pure.

`docs/reference/audit-events.md#what-happened` explains every type and field.
"""

from dataclasses import dataclass
from typing import Literal

from zerotrust.audit.canonical import Shape
from zerotrust.audit.event_parts import Caller, Decided, Effect, Peer, Resource
from zerotrust.audit.forms import Id, Microseconds, SafeText, Sha256, Times

Action = Literal["suspend", "reinstate", "revoke", "drift", "reload", "activate", "rollback", "in_force"]
AlarmCause = Literal["unexplained", "silent", "unknown", "explained"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Shape):
    """The gate decided about a call; an allowed one is served once this event is on the disk.

    A refusal is on the disk before the caller gets the answer.  A call by certificate alone carries no user's
    authority, so it does not wait for its record.  Routine calls by certificate are recorded only if they are refused:
    deliveries of journals, cosigning, and attestation's reports.  A call that is ended while it runs has a second
    record, which says why.
    """

    type: Literal["request"] = "request"
    operation: SafeText
    """Method and path; at a tool, the MCP method and the tool's name."""
    decision: Decided
    peer: Peer | None = None
    """Absent for a user's own client, which has no certificate."""
    principal: Caller | None = None
    """Absent for a call by certificate alone."""
    permission: str | None = None
    """The scope that the decision was about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Shape):
    """How an admitted call ended, and digests of its request and answer.

    It is written with the next commit, or after a second.  If a request has none, the process ended before, or the
    journal could not be written.
    """

    type: Literal["outcome"] = "outcome"
    ended: Literal["complete", "cut_off", "failed"]
    """`complete`: the whole answer was sent, whatever its status.  `cut_off`: it was not, or the token expired or was
    revoked before its end.  `failed`: an error of the service."""
    duration: Microseconds
    """From the first byte of the request to the last of the answer."""
    request_sha256: Sha256
    """Digest of the request's content, as it was received (RFC 9110 section 6.4)."""
    answer_sha256: Sha256
    """Digest of the answer's content, as it was sent, without its receipts."""
    status: int | None = None
    """The answer's status; absent if none began."""
    receipt: Sha256 | None = None
    """Digest of the signed receipt that went with the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access(Shape):
    """A handler asked for a decision about one resource.

    A permission is on the disk before the resource is touched, and a denial before the answer is sent.  At the console,
    whose calls are not on record themselves, repeated denials are only counted.
    """

    type: Literal["access"] = "access"
    operation: SafeText
    """The action, as the policies name it."""
    resource: Resource
    decision: Decided
    principal: Caller
    effect: Effect | None = None
    """The change if the act succeeds; if it fails, a refusal of the same span follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange(Shape):
    """A token was exchanged for one for another party, or the exchange was refused (RFC 8693).

    All exchanges of a transaction are recorded, even if the new token is not used.
    """

    type: Literal["exchange"] = "exchange"
    audience: Id
    """The party that the new token is for."""
    scopes: tuple[str, ...]
    """Those that were asked for, sorted."""
    decision: Decided
    principal: Caller
    """The caller by the token that was exchanged."""
    parent_token_id: Id
    """The id of that token."""
    token_id: str | None = None
    """The id of the new token; absent if none was issued."""
    department: SafeText | None = None
    """The group that was asked for."""
    lifetime: Microseconds | None = None
    """The lifetime that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UntrustedPeer(Shape):
    """A party is not trusted, because its agent card or its tool descriptions are not as approved."""

    type: Literal["discovery"] = "discovery"
    party: Id
    """The party's name in the registry."""
    decision: Decided


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal(Shape):
    """A handler refused a call that the gate had admitted."""

    type: Literal["refusal"] = "refusal"
    decision: Decided


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryChange(Shape):
    """The registry or the policy authority changed who may take part, or which rules apply."""

    type: Literal["administration"] = "administration"
    action: Action
    """`drift`: attestation found changed code, and the party is suspended.  `activate`, `rollback`: other policies are
    in force.  `in_force`: the policy authority states which version is, at its start, every 1,000 records, and when the
    registry refused a version."""
    target: SafeText
    """Which party, user, session, token or version of the policies; or which rule or answer that version changes."""
    cause: SafeText | None = None
    """Why, as the operator or attestation says.  `keycloak: ` and why, if Keycloak changed it.  Of a rule or answer:
    before and after."""
    peer: Peer | None = None
    """Attestation, if it reported the change."""
    principal: Caller | None = None
    """The operator, if one made the change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unverified(Shape):
    """How often an unverified caller was refused, or used a public route."""

    origin: str
    """The SPIFFE ID of the peer, else the address, else `others`."""
    reason: str
    """Why the caller was refused; `public` for a public route."""
    times: Times


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated(Shape):
    """How often a verified caller repeated a call that had just been recorded in full.

    The first three within a second are recorded in full.  Refusals of a suspended party by its certificate are counted
    for a minute, and while they go on, none is recorded in full again.  A process that is killed loses its counts since
    the last record.
    """

    operation: SafeText
    """Method and path, `another route` for all that do not exist, or `others`.  `alarm` for alarms that were only
    counted: then `reason` is their cause."""
    reason: str
    times: Times
    """Beyond those that are recorded in full."""
    peer: Id | None = None
    """Its SPIFFE ID."""
    party: Id | None = None
    """The party that the token was issued to; for alarms, their party."""
    subject: Id | None = None
    """The user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts(Shape):
    """The calls of the last second, or minute, that were only counted: at most 100 entries."""

    type: Literal["counts"] = "counts"
    unverified: tuple[Unverified, ...] | None = None
    repeated: tuple[Repeated, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken(Shape):
    """A token that the issuer claims to have issued in exchange for another."""

    client: Id
    """The SPIFFE ID of the party that asked for it."""
    token_id: Id
    """The id of the new token."""
    time: Microseconds
    """By the issuer's clock."""
    audience: SafeText | None = None
    """The party that the token is for."""
    subject: Id | None = None
    """The user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued(Shape):
    """The new exchanges in the issuer's own events, and the time until which no other exists.

    The registry writes one for each read that found any, with at most 100 tokens.  Without news it writes one every 5
    seconds for two minutes, then one a minute: so a gap shows when the events were not read.
    """

    type: Literal["issued"] = "issued"
    until: Microseconds
    """When the read began; the issuer may make some events visible late."""
    tokens: tuple[IssuedToken, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm(Shape):
    """The issuer's exchanges and those in the journals are not the same.

    An exchange makes one alarm, or a `silent` one and later `explained` or `unexplained`.  Ten alarms a minute of one
    cause about a party are recorded, and the others are counted.
    """

    type: Literal["alarm"] = "alarm"
    cause: AlarmCause
    """`unexplained`: the issuer made an exchange, and its client's journal has later records, but not this record.
    `silent`: the journal has no later records either.  `unknown`: a journal has an exchange that the issuer did not
    make.  `explained`: the journal came late, and has it."""
    party: Id
    """The party that exchanged the token, as the issuer says; if the issuer does not know it, as its journal says."""
    token_id: Id
    at: Microseconds
    """When it was issued."""
    subject: Id | None = None
    """The user."""


Data = Request | Outcome | Access | Exchange | UntrustedPeer | Refusal | RegistryChange | Counts | Issued | Alarm
