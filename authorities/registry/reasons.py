"""The reasons for which the registry itself, not the library, refuses an operator's request.  Pure."""

from zerotrust.decision import ReasonCode


class RegistryReason(ReasonCode):
    """The registry's own reasons."""

    NODE_REFUSED = "node_refused", (403, "access_denied")
    DRIFTED = "drifted", (409, "invalid_request")
    WOULD_LOCK_OUT = "would_lock_out", (409, "invalid_request")
    REGISTRY_UNFIT = "registry_unfit", (409, "invalid_request")
    BUNDLE_REFUSED = "bundle_refused", (422, "invalid_request")
    POLICY_OLDER = "policy_older", (409, "invalid_request")
    NO_SUCH_PARTY = "no_such_party", (404, "invalid_request")
    UNKNOWN_SUBJECT = "unknown_subject", (400, "invalid_request")
