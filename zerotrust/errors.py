"""What a refused caller sees (RFC 6750).  Pure.

Inside, a refusal has a reason and a detail; they go to the audit record.  Outside, it has one of the answers below,
and no word that came from the caller.
"""

from collections.abc import Mapping
from typing import Any

from zerotrust.policy import Reason

RETRY_AFTER = 1
"""Seconds a caller should wait before it asks again for what could not be decided."""

# Until its signature is known to be good, a token deserves no explanation: all of these look the same.
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

_MISSING = (401, None)  # nothing was presented, so no error code either (RFC 6750 section 3.1)
_BAD_REQUEST = (400, "invalid_request")
_BAD_TOKEN = (401, "invalid_token")
_TOO_LITTLE = (403, "insufficient_scope")
_DENIED = (403, "access_denied")  # no scope would help
_UNKNOWN = (503, "temporarily_unavailable")  # we cannot tell, and never answer with an old yes

ANSWERS: dict[Reason, tuple[int, str | None]] = {
    Reason.NO_TOKEN: _MISSING,
    Reason.UNSUPPORTED_SCHEME: _MISSING,
    Reason.MALFORMED_CREDENTIALS: _BAD_REQUEST,
    Reason.TOKEN_TOO_LARGE: _BAD_REQUEST,
    **dict.fromkeys(BEFORE_SIGNATURE, _BAD_TOKEN),
    Reason.BAD_CLAIM: _BAD_TOKEN,
    Reason.ISSUER_MISMATCH: _BAD_TOKEN,
    Reason.AUDIENCE_MISMATCH: _BAD_TOKEN,
    Reason.EXPIRED: _BAD_TOKEN,
    Reason.NOT_YET_VALID: _BAD_TOKEN,
    Reason.LIFETIME_EXCEEDED: _BAD_TOKEN,
    Reason.UNKNOWN_PARTY: _BAD_TOKEN,
    Reason.ACTOR_MISSING: _BAD_TOKEN,
    Reason.ACTOR_MISMATCH: _BAD_TOKEN,
    Reason.ACTOR_REPEATED: _BAD_TOKEN,
    Reason.CHAIN_TOO_DEEP: _BAD_TOKEN,
    Reason.LINEAGE_MISMATCH: _BAD_TOKEN,
    Reason.NO_CERTIFICATE: _DENIED,
    Reason.CERTIFICATE_ENDED: _DENIED,
    Reason.UNKNOWN_PEER: _DENIED,
    Reason.NOT_BOUND: _BAD_TOKEN,
    Reason.WITHDRAWN: _BAD_TOKEN,
    Reason.NO_PERMISSION_FOR_ROUTE: _DENIED,
    Reason.UNKNOWN_METHOD: (404, "invalid_request"),
    Reason.LEGACY_ERA: _BAD_REQUEST,
    Reason.MALFORMED_HEADERS: _BAD_REQUEST,
    Reason.WRONG_HOST: (421, "invalid_request"),
    Reason.WRONG_ORIGIN: _DENIED,
    Reason.UNSUPPORTED_CONTENT: (415, "invalid_request"),
    Reason.DEPARTMENT_NEEDED: _BAD_REQUEST,
    Reason.MALFORMED_BODY: _BAD_REQUEST,
    Reason.BODY_TOO_LARGE: (413, "invalid_request"),
    Reason.BODY_TOO_SLOW: (408, "invalid_request"),
    Reason.TOO_MANY_REQUESTS: (429, "temporarily_unavailable"),  # RFC 6585 section 4: this user has, and nobody else
    Reason.UNKNOWN_MODEL: (404, "invalid_request"),
    Reason.UNSUPPORTED_OPTION: _BAD_REQUEST,
    Reason.SCOPE_MISSING: _TOO_LITTLE,
    Reason.POLICY_DENIED: _DENIED,
    Reason.POLICY_ERROR: _DENIED,
    Reason.RESOURCE_DENIED: _DENIED,
    Reason.WOULD_WIDEN: _DENIED,
    Reason.EXCHANGE_REFUSED: _DENIED,
    Reason.PEER_WITHDRAWN: _DENIED,
    Reason.PEER_UNTRUSTED: _DENIED,
    Reason.DRIFTED: (409, "invalid_request"),
    Reason.WOULD_LOCK_OUT: (409, "invalid_request"),
    Reason.REGISTRY_UNFIT: (409, "invalid_request"),
    Reason.UNKNOWN_SUBJECT: _BAD_REQUEST,
    Reason.FAILED: (500, "server_error"),
    Reason.BUSY: _UNKNOWN,  # all together have too many
    Reason.STANDING_UNKNOWN: _UNKNOWN,
    Reason.KEYS_UNAVAILABLE: _UNKNOWN,
    Reason.ISSUER_UNAVAILABLE: _UNKNOWN,
    Reason.IDENTITY_UNAVAILABLE: _UNKNOWN,
    Reason.PEER_UNAVAILABLE: _UNKNOWN,
    Reason.ANSWER_LOST: _UNKNOWN,
    Reason.JOURNAL_UNAVAILABLE: _UNKNOWN,
}


class Refusal(Exception):
    """A request that goes no further, with its reason.

    `detail` is for the record only; `scope` is the one that would help, if one would.  `advice` is a sentence on what
    to do instead, and `more` are members that the protocol of the door wants besides.
    """

    def __init__(
        self,
        reason: Reason,
        detail: str = "",
        *,
        scope: str | None = None,
        advice: str | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason, self.detail, self.scope, self.advice, self.more = reason, detail, scope, advice, more or {}
        self.status, self.error = ANSWERS[reason]

    @property
    def told(self) -> Reason:
        """The reason the caller gets to see."""
        return Reason.NOT_VERIFIED if self.reason in BEFORE_SIGNATURE else self.reason

    def headers(self, metadata_url: str | None = None) -> list[tuple[bytes, bytes]]:
        """The answer's headers: a challenge (RFC 6750 section 3, RFC 9728 section 5.1), or when to come back."""
        if self.status in (429, 503):
            return [(b"retry-after", b"%d" % RETRY_AFTER)]
        if self.status not in (400, 401, 403) or self.error == "access_denied":
            return []
        fields = {"error": self.error, "scope": self.scope, "resource_metadata": metadata_url}
        given = "".join(f', {name}="{value}"' for name, value in fields.items() if value)
        return [(b"www-authenticate", f'Bearer realm="zero-trust"{given}'.encode())]
