"""A share is as large as it is said to be, and whoever fills it takes nothing from anybody else."""

from contextlib import ExitStack

import pytest

from zerotrust.decision import Denied
from zerotrust.limits.in_flight import OF_A_PARTY, OF_A_PERSON, OF_A_USER, InFlight, Limits


@pytest.mark.parametrize("most", [1, 3])
def test_one_more_than_the_share_is_not_counted(most: int) -> None:
    requests = InFlight()

    assert [requests.take("alice", most) for _ in range(most + 2)] == [True] * most + [False] * 2
    assert requests.take("bob", most)

    requests.give_back("alice")
    assert [requests.take("alice", most), requests.take("alice", most)] == [True, False]


def test_nobody_is_remembered_who_has_nothing_under_way() -> None:
    requests = InFlight()
    for number in range(1000):
        requests.take(f"user-{number}", 1)
        requests.take(f"user-{number}", 1)
        requests.give_back(f"user-{number}")

    assert not requests._held


def test_people_are_counted_together_and_a_party_by_itself() -> None:
    limits = Limits()
    with ExitStack() as over:
        for number in range(OF_A_PARTY):
            limits.enter(None, f"user-{number}", over)
        with pytest.raises(Denied, match=f"busy: people: {OF_A_PARTY} under way"):
            limits.enter(None, "another", over)
        limits.enter("spiffe://agents.example/agent/reader", None, over)

    with ExitStack() as over:
        limits.enter(None, "another", over)


@pytest.mark.parametrize(("delegated", "most"), [(False, OF_A_PERSON), (True, OF_A_USER)], ids=["console", "agent"])
def test_a_users_share_depends_on_who_acts_and_not_on_a_certificate(most: int, *, delegated: bool) -> None:
    """Or a few users of a console would leave no place to its others."""
    limits, sender = Limits(), "spiffe://agents.example/console"
    with ExitStack() as over:
        for _ in range(most):
            limits.enter(sender, "alice", over, delegated=delegated)
        with pytest.raises(Denied, match=f"this user has {most} under way"):
            limits.enter(sender, "alice", over, delegated=delegated)
        limits.enter(sender, "bob", over, delegated=delegated)
