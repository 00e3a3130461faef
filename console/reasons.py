"""What the console itself refuses to a browser, before any policy is asked."""

from zerotrust.decision import ReasonCode


class ConsoleReason(ReasonCode):
    """A reason for the refusal of a browser's request."""

    NOT_SIGNED_IN = "not_signed_in", (401, None)
    FORGED_REQUEST = "forged_request", (403, "invalid_request")
    ANOTHER_BROWSER = "another_browser", (400, "invalid_request")
    ANOTHER_ISSUER = "another_issuer", (400, "invalid_request")
    ANOTHER_PERSON = "another_person", (400, "invalid_request")
    SIGN_IN_CANCELLED = "sign_in_cancelled", (400, "invalid_request")
    SIGN_IN_REFUSED = "sign_in_refused", (400, "invalid_request")
    SIGN_OUT_UNCONFIRMED = "sign_out_unconfirmed", (503, "temporarily_unavailable")
    OPERATOR_NOT_SIGNED_IN = "operator_not_signed_in", (403, "insufficient_scope")
    TASKS_UNDER_WAY = "tasks_under_way", (429, "temporarily_unavailable")
    THIEF_BUSY = "thief_busy", (429, "temporarily_unavailable")
    THIEF_UNAVAILABLE = "thief_unavailable", (503, "temporarily_unavailable")
