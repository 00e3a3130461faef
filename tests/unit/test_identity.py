"""The chain of actors in an `act` claim, and what a principal says of itself."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerotrust.identity import MAX_ACTORS, BrokenChain, actor_chain
from zerotrust.testing import principal

NAMES = st.text("abc/:", min_size=1, max_size=5)


def nested(actors: list[str]) -> dict[str, Any] | None:
    """The `act` claim of these actors, the current one first."""
    act: dict[str, Any] | None = None
    for actor in reversed(actors):
        act = {"sub": actor} | ({"act": act} if act else {})
    return act


@given(st.lists(NAMES, max_size=MAX_ACTORS))
def test_a_chain_comes_back_with_the_current_actor_first(actors: list[str]) -> None:
    assert actor_chain(nested(actors)) == tuple(actors)


@given(st.lists(NAMES, min_size=MAX_ACTORS + 1, max_size=MAX_ACTORS + 20))
def test_a_chain_that_is_too_long_is_read_no_further_than_needed_to_see_that(actors: list[str]) -> None:
    assert actor_chain(nested(actors)) == tuple(actors[: MAX_ACTORS + 1])


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


def test_whatever_else_stands_in_an_act_is_not_read() -> None:
    act = {"sub": "a", "scope": "everything", "aud": "x", "act": {"sub": "b", "azp": "c", "exp": 1, "act": None}}

    assert actor_chain(act) == ("a", "b")


def test_the_root_of_the_lineage_names_the_transaction_and_a_login_token_is_its_own_root() -> None:
    assert principal().transaction == "T0"
    assert principal(lineage=("root", "middle")).transaction == "root"


def test_only_with_an_actor_is_a_principal_delegated() -> None:
    assert not principal().delegated
    assert principal(actors=("a",)).delegated


def test_a_principal_does_not_show_its_token() -> None:
    assert "secret" not in repr(principal())
    assert principal() == principal(token="another.one")  # nor is it compared by it
