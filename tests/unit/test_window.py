"""Which events are new: however they are committed, each is taken once."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from authorities.registry.window import OVERLAP, Window


def event(name: object, at: int) -> dict[str, Any]:
    return {"id": str(name), "time": at}


def test_it_begins_some_seconds_before_what_is_known() -> None:
    window = Window(100_000)
    assert window.begins == 100_000 - OVERLAP

    window.taken([event("a", 150_000), event("b", 149_000)])
    assert window.begins == 150_000 - OVERLAP


def test_nothing_is_taken_twice_and_what_comes_is_in_its_order() -> None:
    window = Window(0)
    window.taken([event("a", 5)])

    assert window.new([event("c", 9), event("a", 5), event("b", 7), event("b", 7)]) == [event("b", 7), event("c", 9)]


def test_what_was_not_taken_stays_new() -> None:
    window = Window(0)

    assert window.new([event("a", 5)]) == window.new([event("a", 5)]) == [event("a", 5)]


def test_a_known_event_that_is_gone_is_missed_while_it_ought_to_be_there() -> None:
    window = Window(0)
    window.taken([event("old", 1), event("new", 1 + OVERLAP), event("newest", 2 + OVERLAP)])

    assert not window.lost([event("new", 1 + OVERLAP), event("newest", 2 + OVERLAP)])
    assert window.lost([event("newest", 2 + OVERLAP)])
    assert window.lost([])


@given(
    st.lists(st.tuples(st.integers(0, 60_000), st.integers(0, OVERLAP)), max_size=40), st.lists(st.integers(0, 80_000))
)
def test_each_event_is_taken_once_if_it_is_committed_within_the_overlap(
    events: list[tuple[int, int]], reads: list[int]
) -> None:
    """Each event has a time and becomes visible some time later; reads happen whenever they do."""
    window, taken = Window(0), list[str]()
    for now in [*sorted(reads), 100_000]:
        there = [event(name, at) for name, (at, late) in enumerate(events) if at + late <= now and at >= window.begins]
        assert not window.lost(there)
        taken += [found["id"] for found in window.new(there)]
        window.taken(there)

    assert sorted(taken) == sorted(str(name) for name in range(len(events)))
