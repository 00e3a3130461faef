"""The reasons for which the audit authority itself, not the library, refuses the lines of a journal.  Pure."""

from zerotrust.decision import ReasonCode


class AuditReason(ReasonCode):
    """The audit authority's own reasons."""

    JOURNAL_MALFORMED = "journal_malformed", (400, "invalid_request")
    JOURNAL_OF_ANOTHER = "journal_of_another", (403, "access_denied")
    JOURNAL_ELSEWHERE = "journal_elsewhere", (409, "invalid_request")
    JOURNAL_CHANGED = "journal_changed", (409, "invalid_request")
    JOURNAL_BUSY = "journal_busy", (429, "temporarily_unavailable")
    JOURNAL_TOO_FAST = "journal_too_fast", (429, "temporarily_unavailable")
    LOG_UNAVAILABLE = "log_unavailable", (503, "temporarily_unavailable")
    NOT_IN_THE_LOG = "not_in_the_log", (404, "invalid_request")
