"""Which events are new: however they are committed, each is taken once."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from authorities.registry.keycloak.event_window import OVERLAP, Window
from authorities.registry.keycloak.events import Event

MANY = 1000


def new(window: Window, found: list[dict[str, Any]]) -> list[Event]:
    return window.examine(found, MANY).new


def lost(window: Window, found: list[dict[str, Any]], most: int = MANY) -> bool:
    return window.examine(list(found), most).lost


def take(window: Window, found: list[dict[str, Any]]) -> None:
    window.note_taken(window.examine(found, MANY))


def event(name: object, at: int) -> dict[str, Any]:
    return {"id": str(name), "time": at}


def test_what_lies_beyond_an_answer_that_is_full_is_not_missed_and_what_lies_before_is() -> None:
    window = Window(0)
    take(window, [event("a", 5), event("b", 7)])

    assert not lost(window, [event("a", 5), event("late", 6)], most=2)
    assert not lost(window, [event("a", 5), event("late", 7)], most=2)
    assert not lost(window, [event("late", 4), event("later", 5)], most=2)
    assert lost(window, [event("late", 5), event("later", 6)], most=2)
    assert lost(window, [event("late", 6), event("b", 7)], most=2)

    window.note_taken(window.examine([event("late", 4), event("later", 5)], 2))  # the others are still to be seen
    assert new(window, [event("a", 5), event("b", 7), event("c", 8)]) == [event("c", 8)]


@given(
    st.lists(st.tuples(st.integers(0, 60_000), st.integers(0, OVERLAP)), max_size=40), st.lists(st.integers(0, 80_000))
)
def test_each_event_is_taken_once_if_it_is_committed_within_the_overlap(
    events: list[tuple[int, int]], reads: list[int]
) -> None:
    """Each event has a time and becomes visible some time later; reads happen whenever they do."""
    window, taken = Window(0), list[str]()
    for now in [*sorted(reads), 100_000]:
        there = [event(name, at) for name, (at, late) in enumerate(events) if at + late <= now and at >= window.start]
        assert not lost(window, there)
        taken += [found["id"] for found in new(window, there)]
        take(window, there)

    assert sorted(taken) == sorted(str(name) for name in range(len(events)))
