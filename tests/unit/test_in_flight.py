"""A share is as large as it is said to be, and whoever fills it takes nothing from anybody else."""

import pytest

from zerotrust.limits.in_flight import InFlight


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
