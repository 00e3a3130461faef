"""The reasons for which the policy authority itself, not the library, refuses an operator's request.  Pure."""

from zerotrust.decision import ReasonCode


class PolicyReason(ReasonCode):
    """The policy authority's own reasons."""

    POLICY_UNFIT = "policy_unfit", (422, "invalid_request")
    REGISTRY_UNAVAILABLE = "registry_unavailable", (503, "temporarily_unavailable")
    POLICY_MOVED = "policy_moved", (409, "invalid_request")
    NO_SUCH_VERSION = "no_such_version", (404, "invalid_request")
    VERSIONS_UNAVAILABLE = "versions_unavailable", (503, "temporarily_unavailable")
