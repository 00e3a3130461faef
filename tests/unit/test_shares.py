"""How many entries a user may cause; over that, and where there are too many in all, one does for the rest."""

from collections.abc import Callable

import pytest

from authorities.registry.quota import MOST_IN_ALL, MOST_OF_A_USER, Quota
from tests.support.door import Clock
from zerotrust.revocation_list import RETENTION, Kind, Revocable

ALICE: Revocable = ("before", "1 alice walkthrough")
LATER: Revocable = ("before", "2 alice walkthrough")
OTHERS: list[Revocable] = [("before", "1 bob walkthrough"), ("before", "1 alice reader"), ("before", "1 alice")]
KINDS: list[Kind] = ["token", "session"]


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def taken(clock: Clock) -> Callable[..., int]:
    """How many of so many entries there is room for."""
    shares = Quota(clock)

    def take(kind: Kind, instead: Revocable, times: int, entries: int = 0) -> int:
        return sum(shares.take(kind, instead, entries=entries) for _ in range(times))

    return take


@pytest.mark.parametrize("kind", KINDS)
def test_a_user_has_a_share_of_each_kind_and_others_have_theirs(taken: Callable[..., int], kind: Kind) -> None:
    most = MOST_OF_A_USER[kind]
    assert taken(kind, ALICE, most // 2) == most // 2
    assert taken(kind, LATER, most) == most - most // 2  # whatever the time, it is the same user's

    for other in OTHERS:
        assert taken(kind, other, 1) == 1
    assert taken(next(k for k in KINDS if k != kind), ALICE, 1) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_room_again_when_the_first_of_them_is_forgotten(
    taken: Callable[..., int], clock: Clock, kind: Kind
) -> None:
    assert taken(kind, ALICE, 1) == 1
    clock.now += 10
    assert taken(kind, ALICE, MOST_OF_A_USER[kind]) == MOST_OF_A_USER[kind] - 1

    clock.now += RETENTION[kind] - 10
    assert taken(kind, ALICE, 1) == 0
    clock.now += 0.1
    assert taken(kind, ALICE, 2) == 1


def test_where_there_is_too_much_in_all_no_user_has_a_share(taken: Callable[..., int]) -> None:
    assert taken("token", ALICE, 1, MOST_IN_ALL - 1) == 1
    assert taken("token", ALICE, 1, MOST_IN_ALL) == 0
    assert taken("token", ALICE, 1, MOST_IN_ALL - 1) == 1


def test_who_has_caused_nothing_for_as_long_as_anything_is_remembered_is_forgotten(clock: Clock) -> None:
    shares = Quota(clock)
    for number in range(100):
        shares.take("token", ("before", f"1 user-{number} walkthrough"), entries=0)
    clock.now += max(RETENTION.values()) + 1
    shares.take("token", ALICE, entries=0)

    assert len(shares._used) == 1
