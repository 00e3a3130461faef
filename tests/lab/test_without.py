"""A control is taken away for a block, and only that one."""

import pytest

from lab.without import Control, NoSuchControl, without
from tests.attacks.hooks import DROP, argument
from zerotrust.limits.strict_json import strict_object

NAMES_UNIQUE = Control("json-names-unique")
TWICE = b'{"a": 1, "a": 2}'


def test_the_check_is_gone_inside_and_there_again_outside() -> None:
    with without(NAMES_UNIQUE):
        assert strict_object(TWICE) == {"a": 2}
        with pytest.raises(ValueError, match="not an object"):
            strict_object(b"[]")

    with pytest.raises(ValueError, match="twice"):
        strict_object(TWICE)


@pytest.mark.parametrize("control", [Control("never"), Control("json-names-unique", argument("never", DROP))])
def test_what_is_not_there_is_not_taken_for_taken_away(control: Control) -> None:
    with pytest.raises(NoSuchControl, match=r"occurs 0 times|has no"), without(control):
        raise AssertionError
