"""What a party remembers has an end: the oldest is forgotten, and what is remembered anew is no longer the oldest."""

from zerotrust.limits.bounded import Bounded


def test_the_oldest_is_forgotten() -> None:
    known = Bounded[str, int](2)
    for number, key in enumerate("abac"):
        known[key] = number

    assert list(known.items()) == [("a", 2), ("c", 3)]
