"""Policies decide while they live, and nothing is decided without them."""

import pytest

from tests.support.system import POLICY, registry
from zerotrust.decision import Decision, PolicyEngine, Reason, Resource
from zerotrust.policy_in_force import NoPolicy, PolicyInForce
from zerotrust.runtime import policy_of
from zerotrust.testing import principal

REGISTRY = registry()
READER, TOOL = REGISTRY.id("agent/reader"), REGISTRY.id("tool/documents")
WHO = principal(actors=(READER,), scopes=frozenset({"tool.read"}), groups=frozenset({"/engineering"}))
REPORT = Resource(
    "Document",
    "ENG-101",
    (("department", "/engineering"), ("state", "published"), ("owner", "bob"), ("classification", "internal")),
)


class Life:
    """When the policies end, and what time it is."""

    def __init__(self) -> None:
        self.until, self.now = 100.0, 0.0
        engine = policy_of(POLICY, REGISTRY)
        self.engine = PolicyInForce(engine, "3-8f2a41d3c5a0", until=lambda: self.until, clock=lambda: self.now)


def answers(engine: PolicyEngine) -> list[Decision]:
    """One answer of each kind, of what the policies permit."""
    decided = engine.decide(WHO, "tool.read", TOOL), engine.decide_on(WHO, "document.read", REPORT)
    each = engine.decide_each(WHO, [("tool.read", TOOL), ("document.read", REPORT)])
    assert isinstance(each, list)
    assert all(isinstance(one, Decision) for one in decided)
    return [*decided, *each]


@pytest.mark.parametrize(
    ("now", "reason"), [(0.0, Reason.GRANTED), (99.9, Reason.GRANTED), (100.0, Reason.POLICY_EXPIRED)]
)
def test_policies_decide_until_their_life_ends(now: float, reason: Reason) -> None:
    life = Life()
    life.now = now

    found = answers(life.engine)
    assert {decision.reason for decision in found} == {reason}
    assert len(found) == 4


def test_a_new_signature_puts_the_end_off_and_a_decision_has_the_version_that_made_it() -> None:
    life = Life()
    life.now = 150.0
    assert not any(answers(life.engine))
    life.until = 200.0

    assert all(answers(life.engine))
    decision = life.engine.decide_on(WHO, "document.read", REPORT)
    assert (decision.policy, decision.rules) == ("3-8f2a41d3c5a0", ("read-own-department",))


def test_without_policies_nothing_is_allowed() -> None:
    assert {decision.reason for decision in answers(NoPolicy())} == {Reason.POLICY_UNKNOWN}
