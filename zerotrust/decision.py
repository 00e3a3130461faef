"""The vocabulary of decisions: reasons, resources, decisions, and the exception that refuses.  Pure.

Answers, audit records and tests all name a decision by its reason.  A caller sees the reason, the HTTP answer that
belongs to it, and no word of the request; the detail goes to the audit record only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, Self

from zerotrust.errors import ZeroTrustError
from zerotrust.identity import Principal

HttpAnswer = tuple[int, str | None]
"""A status, and the error code of RFC 6749 section 5.2 or RFC 6750 section 3.1 that goes with it, if one does."""

_GRANTED: HttpAnswer = (200, None)
_MISSING: HttpAnswer = (401, None)  # nothing was presented, so no error code either (RFC 6750 section 3.1)
_BAD_REQUEST: HttpAnswer = (400, "invalid_request")
_BAD_TOKEN: HttpAnswer = (401, "invalid_token")
_TOO_LITTLE: HttpAnswer = (403, "insufficient_scope")
_DENIED: HttpAnswer = (403, "access_denied")  # no scope would help
_UNKNOWN: HttpAnswer = (503, "temporarily_unavailable")  # we cannot tell, and never answer with an old yes


class ReasonCode(StrEnum):
    """A reason with the HTTP answer that it gets.  `Reason` has the library's; a service declares its own like this:

    class OurReason(ReasonCode):
        OUT_OF_STOCK = "out_of_stock", (409, "invalid_request")
    """

    status: int
    error: str | None

    def __new__(cls, value: str, answer: HttpAnswer) -> Self:
        """Make a member that is its text, and knows its answer."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.status, member.error = answer
        return member


class Reason(ReasonCode):
    """Why a decision of this library went the way it did."""

    GRANTED = "granted", _GRANTED

    # what was presented
    NO_TOKEN = "no_token", _MISSING
    UNSUPPORTED_SCHEME = "unsupported_scheme", _MISSING
    MALFORMED_CREDENTIALS = "malformed_credentials", _BAD_REQUEST
    TOKEN_TOO_LARGE = "token_too_large", _BAD_REQUEST

    # before the signature is known to be good; a caller sees NOT_VERIFIED for every one of them
    NOT_VERIFIED = "not_verified", _BAD_TOKEN
    MALFORMED_TOKEN = "malformed_token", _BAD_TOKEN
    ALGORITHM_NOT_ALLOWED = "algorithm_not_allowed", _BAD_TOKEN
    FORBIDDEN_HEADER = "forbidden_header", _BAD_TOKEN
    WRONG_TYPE = "wrong_type", _BAD_TOKEN
    UNKNOWN_KEY = "unknown_key", _BAD_TOKEN
    BAD_SIGNATURE = "bad_signature", _BAD_TOKEN

    # what a genuine token says
    BAD_CLAIM = "bad_claim", _BAD_TOKEN
    ISSUER_MISMATCH = "issuer_mismatch", _BAD_TOKEN
    AUDIENCE_MISMATCH = "audience_mismatch", _BAD_TOKEN
    EXPIRED = "expired", _BAD_TOKEN
    NOT_YET_VALID = "not_yet_valid", _BAD_TOKEN
    LIFETIME_EXCEEDED = "lifetime_exceeded", _BAD_TOKEN
    UNKNOWN_PARTY = "unknown_party", _BAD_TOKEN
    ACTOR_MISSING = "actor_missing", _BAD_TOKEN
    ACTOR_MISMATCH = "actor_mismatch", _BAD_TOKEN
    ACTOR_REPEATED = "actor_repeated", _BAD_TOKEN
    CHAIN_TOO_DEEP = "chain_too_deep", _BAD_TOKEN
    LINEAGE_MISMATCH = "lineage_mismatch", _BAD_TOKEN

    # who presents it, and whether it was revoked
    NO_CERTIFICATE = "no_certificate", _DENIED
    CERTIFICATE_ENDED = "certificate_ended", _DENIED
    UNKNOWN_PEER = "unknown_peer", _DENIED
    NOT_BOUND = "not_bound", _BAD_TOKEN
    REVOKED = "revoked", _BAD_TOKEN

    # what was asked for
    NO_PERMISSION_FOR_ROUTE = "no_permission_for_route", _DENIED
    UNKNOWN_METHOD = "unknown_method", (404, "invalid_request")
    LEGACY_ERA = "legacy_era", _BAD_REQUEST
    MALFORMED_HEADERS = "malformed_headers", _BAD_REQUEST
    WRONG_HOST = "wrong_host", (421, "invalid_request")
    WRONG_ORIGIN = "wrong_origin", _DENIED
    UNSUPPORTED_CONTENT = "unsupported_content", (415, "invalid_request")
    DEPARTMENT_NEEDED = "department_needed", _BAD_REQUEST
    MALFORMED_BODY = "malformed_body", _BAD_REQUEST
    BODY_TOO_LARGE = "body_too_large", (413, "invalid_request")
    BODY_TOO_SLOW = "body_too_slow", (408, "invalid_request")
    TOO_MANY_REQUESTS = "too_many_requests", (429, "temporarily_unavailable")  # RFC 6585 section 4: of this user only
    SCOPE_MISSING = "scope_missing", _TOO_LITTLE
    POLICY_DENIED = "policy_denied", _DENIED
    RESOURCE_DENIED = "resource_denied", _DENIED

    # what could not be delegated
    WOULD_WIDEN = "would_widen", _DENIED
    EXCHANGE_REFUSED = "exchange_refused", _DENIED
    PEER_REVOKED = "peer_revoked", _DENIED
    PEER_UNTRUSTED = "peer_untrusted", _DENIED

    # what a handler answers, or fails to
    APPLICATION_ERROR = "application_error", (500, "server_error")  # or the handler's own status: `responses.py`
    FAILED = "failed", (500, "server_error")

    # what cannot be known or done now
    BUSY = "busy", _UNKNOWN  # all callers together have too many requests under way
    POLICY_ERROR = "policy_error", _DENIED
    REVOCATION_UNKNOWN = "revocation_unknown", _UNKNOWN
    KEYS_UNAVAILABLE = "keys_unavailable", _UNKNOWN
    ISSUER_UNAVAILABLE = "issuer_unavailable", _UNKNOWN
    ISSUER_UNTRUSTED = "issuer_untrusted", _UNKNOWN
    IDENTITY_UNAVAILABLE = "identity_unavailable", _UNKNOWN
    PEER_UNAVAILABLE = "peer_unavailable", _UNKNOWN
    ANSWER_LOST = "answer_lost", _UNKNOWN
    JOURNAL_UNAVAILABLE = "journal_unavailable", _UNKNOWN


BEFORE_SIGNATURE = frozenset(
    {
        Reason.MALFORMED_TOKEN,
        Reason.ALGORITHM_NOT_ALLOWED,
        Reason.FORBIDDEN_HEADER,
        Reason.WRONG_TYPE,
        Reason.UNKNOWN_KEY,
        Reason.BAD_SIGNATURE,
    }
)
"""Until its signature is known to be good, a token deserves no explanation: all of these look the same outside."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer to one access question, with its reason.  True when allowed."""

    allowed: bool
    reason: ReasonCode
    detail: str = ""

    def __bool__(self) -> bool:
        return self.allowed


@dataclass(frozen=True, slots=True)
class Resource:
    """What is asked about: a kind and a name the policies know, and what the caller of `decide` knows of it."""

    kind: str
    name: str
    attributes: tuple[tuple[str, str], ...] = ()


class PolicyEngine(Protocol):
    """One version of the policies, in whatever language.  What it decides depends on the arguments alone."""

    version: str
    """What audit records call this version."""

    def decide(self, principal: Principal, permission: str, audience: str) -> Decision:
        """Decide whether this caller may use that permission (a scope) at this party, given by its SPIFFE ID."""

    def decide_on(self, principal: Principal, action: str, resource: Resource) -> Decision:
        """Decide whether this caller may do that to this very thing."""


class Denied(ZeroTrustError):
    """A request that goes no further, with its reason.

    `detail` is for the audit record only; `scope` is the one that would help, if one would.  `advice` is a sentence on
    what to do instead, and `more` are members that the protocol of the route wants besides.
    """

    def __init__(
        self,
        reason: ReasonCode,
        detail: str = "",
        *,
        scope: str | None = None,
        advice: str | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason, self.detail, self.scope, self.advice, self.more = reason, detail, scope, advice, more or {}
        self.status, self.error = reason.status, reason.error

    @property
    def told(self) -> ReasonCode:
        """The reason the caller gets to see."""
        return Reason.NOT_VERIFIED if self.reason in BEFORE_SIGNATURE else self.reason
