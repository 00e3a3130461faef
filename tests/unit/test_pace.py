"""When an event loop may wait for the disk."""

import pytest

from zerotrust.audit.pace import LONGEST_PAUSE, PAUSE, QUICK, SLOW, Pace


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("zerotrust.audit.pace.time.monotonic", clock)
    return clock


def test_a_disk_is_quick_until_it_was_slow(clock: Clock) -> None:
    pace = Pace()
    for _ in range(1000):
        pace.took(QUICK)
        assert pace.quick


def test_one_slow_commit_is_enough(clock: Clock) -> None:
    pace = Pace()
    pace.took(SLOW)

    assert not pace.quick
    clock.now += PAUSE
    assert pace.quick


def test_a_disk_that_is_always_a_little_slow_is_noticed(clock: Clock) -> None:
    pace = Pace()
    some = 0
    while pace.quick:
        some += 1
        pace.took(2 * QUICK)

    assert 2 < some < 20


def test_now_and_then_a_commit_may_take_longer(clock: Clock) -> None:
    pace = Pace()
    for number in range(1000):
        pace.took(SLOW / 2 if number % 100 == 0 else QUICK / 3)
        assert pace.quick


def test_the_longer_a_disk_is_slow_the_longer_it_is_left_alone_up_to_a_bound(clock: Clock) -> None:
    pace, pauses = Pace(), []
    for _ in range(8):
        pace.took(SLOW)
        began = clock.now
        while not pace.quick:
            clock.now += 0.5
        pauses.append(clock.now - began)
    assert pauses == [PAUSE, 2 * PAUSE, 4 * PAUSE, 8 * PAUSE, *[LONGEST_PAUSE] * 4]

    pace.took(QUICK)
    pace.took(SLOW)
    clock.now += PAUSE
    assert pace.quick
