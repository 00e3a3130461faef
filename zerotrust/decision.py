"""The vocabulary of decisions: reasons, resources, decisions, and the exception that refuses.  Pure.

Answers, audit records and tests all identify a decision by its reason.  A caller sees the reason and its HTTP answer,
and nothing quoted from the request; the detail goes to the audit record only.
"""

import re
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, Self

from zerotrust.errors import ZeroTrustError
from zerotrust.identity import Principal

CODE = re.compile(r"[a-z][a-z_]{0,63}")
"""The form of a reason."""

HttpAnswer = tuple[int, str | None]
"""A status and its error code (RFC 6749 section 5.2 or RFC 6750 section 3.1), if it has one."""

_GRANTED: HttpAnswer = (200, None)
_MISSING: HttpAnswer = (401, None)  # no credentials were presented, so no error code (RFC 6750 section 3.1)
_BAD_REQUEST: HttpAnswer = (400, "invalid_request")
_BAD_TOKEN: HttpAnswer = (401, "invalid_token")
_TOO_LITTLE: HttpAnswer = (403, "insufficient_scope")
_DENIED: HttpAnswer = (403, "access_denied")  # no scope would help
_UNKNOWN: HttpAnswer = (503, "temporarily_unavailable")  # no decision is possible, and an old one is never reused


class ReasonCode(StrEnum):
    """A reason with its HTTP answer.  `Reason` has the library's; a service declares its own like this:

    class OurReason(ReasonCode):
        OUT_OF_STOCK = "out_of_stock", (409, "invalid_request")
    """

    status: int
    error: str | None

    def __new__(cls, value: str, answer: HttpAnswer) -> Self:
        """Return a member with its text as value and its HTTP answer as attributes.  Raises `ValueError`."""
        if not CODE.fullmatch(value):
            raise ValueError(f"a reason is lower-case letters and underscores, 64 at most: {value!r}")
        member = str.__new__(cls, value)
        member._value_ = value
        member.status, member.error = answer
        return member


class Reason(ReasonCode):
    """The reason for a decision of this library."""

    GRANTED = "granted", _GRANTED

    # what was presented
    NO_TOKEN = "no_token", _MISSING
    UNSUPPORTED_SCHEME = "unsupported_scheme", _MISSING
    MALFORMED_CREDENTIALS = "malformed_credentials", _BAD_REQUEST
    TOKEN_TOO_LARGE = "token_too_large", _BAD_REQUEST
    NO_PROOF = "no_proof", _MISSING
    BAD_PROOF = "bad_proof", (401, "invalid_dpop_proof")  # RFC 9449 section 7.1
    PROOF_USED = "proof_used", (401, "invalid_dpop_proof")

    # before the signature is verified; a caller sees NOT_VERIFIED for each of them
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
    MALFORMED_PATH = "malformed_path", _BAD_REQUEST
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
    CALL_ENDED = "call_ended", (500, "server_error")

    # what cannot be decided or done now
    BUSY = "busy", _UNKNOWN  # one party, or all clients without a certificate, has too many under way
    POLICY_ERROR = "policy_error", _DENIED
    POLICY_UNAVAILABLE = "policy_unavailable", _UNKNOWN
    POLICY_UNKNOWN = "policy_unknown", _UNKNOWN
    POLICY_EXPIRED = "policy_expired", _UNKNOWN
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
"""Before its signature is verified, a token gets no explanation: the caller sees the same reason for all of these."""

WHENEVER = frozenset({Reason.EXPIRED, Reason.REVOKED})
"""Reasons for which a request is refused before its handler runs, or cut off while it runs: the answer names it."""
BEGUN: Mapping[str, Any] = {"begun": True}
"""The member of a refusal that says that a handler had begun, so that the request may have taken effect."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Allowed or not, with the reason.  True if allowed."""

    allowed: bool
    reason: ReasonCode
    detail: str = ""
    rules: tuple[str, ...] = ()
    """The ids of the rules that permitted it, sorted; a refusal has none, because only permits exist."""
    policy: str = ""
    """The version of the policies that decided; if empty, the engine's `version`."""

    def __bool__(self) -> bool:
        return self.allowed


@dataclass(frozen=True, slots=True)
class Resource:
    """The object of a decision: a kind and a name for the policies, and the attributes that the caller knows."""

    kind: str
    name: str
    attributes: tuple[tuple[str, str], ...] = ()


class Rule(NamedTuple):
    """One rule, for people."""

    sentence: str
    """The permission: its `@description`."""
    actions: frozenset[str]
    """The actions that it names, or their group; none: every action."""


Question = tuple[str, str | Resource]
"""A permission and the SPIFFE ID of the party where it is to be used, or an action and its resource."""


class PolicyEngine(Protocol):
    """One version of the policies, in any policy language.  A decision depends on its arguments alone.

    An engine in this process answers at once; one elsewhere (`authzen/client.py`) answers with what has to be
    awaited.  None raises: where no decision is possible, the decision is a refusal that says why.
    """

    version: str
    """The name of this version in audit records, unless a decision has its own."""

    def decide(self, principal: Principal, permission: str, audience: str) -> Decision | Awaitable[Decision]:
        """Decide whether this caller may use that permission (a scope) at this party, given by its SPIFFE ID."""

    def decide_on(self, principal: Principal, action: str, resource: Resource) -> Decision | Awaitable[Decision]:
        """Decide whether this caller may do this action on this resource."""

    def decide_each(
        self, principal: Principal, questions: Sequence[Question]
    ) -> Sequence[Decision] | Awaitable[Sequence[Decision]]:
        """Decide several questions about this caller, to filter a list; the decisions have their order."""


class Denied(ZeroTrustError):
    """A request is refused, for a reason.

    `detail` is for the audit record only.  `scope` is the missing scope, if a scope is missing.  `advice` is a sentence
    on what to do instead.  `more` has further members for the answer.
    """

    again = True
    """Whether it may help to send the same again later; with status 429 or 503, the answer then says when."""

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
    def public_reason(self) -> ReasonCode:
        return Reason.NOT_VERIFIED if self.reason in BEFORE_SIGNATURE else self.reason
