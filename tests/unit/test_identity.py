"""The chain of actors in an `act` claim, and what a principal says of itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testkit import principal
from tests.support.realm import chain
from zerotrust.identity import MAX_ACTORS, BrokenChain, actor_chain

NAMES = st.text("abc/:", min_size=1, max_size=5)


@given(st.lists(NAMES, min_size=MAX_ACTORS + 1, max_size=MAX_ACTORS + 20))
def test_a_chain_that_is_too_long_is_read_no_further_than_needed_to_see_that(actors: list[str]) -> None:
    assert actor_chain(chain(*actors)) == tuple(actors[: MAX_ACTORS + 1])


@pytest.mark.parametrize(
    "act",
    [
        "a text",
        {"sub": "two words"},
        {"sub": "x" * 513},
        {"sub": "a", "act": {"sub": "a\n"}},
        ["spiffe://agents.example/orchestrator"],
        7,
        False,
        {},
        {"act": {"sub": "a"}},
        {"sub": None},
        {"sub": ""},
        {"sub": ["a"]},
        {"sub": {"sub": "a"}},
        {"sub": "a", "act": "b"},
        {"sub": "a", "act": {}},
        {"sub": "a", "act": {"sub": 1}},
        {"sub": "a", "act": ["b"]},
    ],
)
def test_what_is_no_chain_of_named_actors_is_refused(act: object) -> None:
    with pytest.raises(BrokenChain):
        actor_chain(act)


def test_a_principal_does_not_show_its_token() -> None:
    assert "secret" not in repr(principal())
    assert principal() == principal(token="another.one")  # nor is it compared by it
