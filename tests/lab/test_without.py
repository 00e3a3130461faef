"""A control is taken away for a block, and only that one."""

import pytest

from lab.without import Control, NoSuchControl, without
from zerotrust.identity import actor_chain
from zerotrust.limits.strict_json import strict_object

OBJECTS_ONLY = Control("zerotrust.limits.strict_json", "strict_object", "if not isinstance(found, dict):")


def test_the_check_is_gone_inside_and_there_again_outside() -> None:
    with without(OBJECTS_ONLY):
        assert not strict_object(b"[]")
        with pytest.raises(ValueError, match="twice"):
            strict_object(b'{"a": 1, "a": 2}')

    with pytest.raises(ValueError, match="not an object"):
        strict_object(b"[]")


def test_it_is_there_again_when_the_block_fails() -> None:
    with pytest.raises(ZeroDivisionError), without(OBJECTS_ONLY):
        raise ZeroDivisionError

    with pytest.raises(ValueError, match="not an object"):
        strict_object(b"[]")


def test_something_else_can_stand_in_its_place() -> None:
    with without(Control("zerotrust.identity", "actor_chain", "return tuple(actors)", "return ()")):
        assert actor_chain({"sub": "a"}) == ()


@pytest.mark.parametrize("take", ["if never:", "found"])
def test_what_is_not_there_once_is_not_taken_for_taken_away(take: str) -> None:
    with pytest.raises(NoSuchControl), without(Control("zerotrust.limits.strict_json", "strict_object", take)):
        raise AssertionError
