"""Decides only while the policies live: a service without a current bundle allows nothing.  Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from zerotrust.decision import Decision, Question, Reason, Resource, Rule
from zerotrust.identity import Principal
from zerotrust.policy import CedarPolicy

UNKNOWN = Decision(allowed=False, reason=Reason.POLICY_UNKNOWN, detail="no policies yet from the policy authority")


class PolicyInForce:
    """A version of the policies, for as long as its bundle lives; a `PolicyEngine`."""

    def __init__(
        self, engine: CedarPolicy, version: str, *, until: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        """`until` returns when the life ends, which each new signature puts off; `clock`: seconds since the epoch.

        `version` names the version in audit records.
        """
        self._engine, self.version, self._until, self._clock = engine, version, until, clock

    @property
    def rules(self) -> Mapping[str, Rule]:
        """The rules by their ids, for people."""
        return self._engine.rules

    def decide(self, principal: Principal, permission: str, audience: str) -> Decision:
        """Decide whether this caller may use that permission at this party, while the policies live."""
        return self._label(self._engine.decide(principal, permission, audience)) if self._live() else self._expiry()

    def decide_on(self, principal: Principal, action: str, resource: Resource) -> Decision:
        """Decide whether this caller may do this action on this resource, while the policies live."""
        return self._label(self._engine.decide_on(principal, action, resource)) if self._live() else self._expiry()

    def decide_each(self, principal: Principal, questions: Sequence[Question]) -> Sequence[Decision]:
        """Decide several questions about this caller, in their order, while the policies live."""
        return self._engine.decide_each(principal, questions) if self._live() else [self._expiry()] * len(questions)

    def _live(self) -> bool:
        return self._clock() < self._until()  # control: policy-lives

    def _expiry(self) -> Decision:
        return Decision(allowed=False, reason=Reason.POLICY_EXPIRED, detail=f"policies {self.version}")

    def _label(self, decision: Decision) -> Decision:
        """Return a decision with its version: the record of it may be written when another is in force."""
        return replace(decision, policy=self.version)


class NoPolicy:
    """The engine of a service that has no policies yet; a `PolicyEngine` that allows nothing."""

    version = "none"

    def decide(self, principal: Principal, permission: str, audience: str) -> Decision:  # noqa: ARG002
        return UNKNOWN

    def decide_on(self, principal: Principal, action: str, resource: Resource) -> Decision:  # noqa: ARG002
        return UNKNOWN

    def decide_each(self, principal: Principal, questions: Sequence[Question]) -> Sequence[Decision]:  # noqa: ARG002
        return [UNKNOWN] * len(questions)
