"""The one media type that a door takes."""

import pytest

from zerotrust.dialect import PLAIN, Dialect
from zerotrust.errors import Refusal
from zerotrust.policy import Reason

JSON_ONLY = Dialect(PLAIN.error_body, media_type=b"application/json")


@pytest.mark.parametrize("value", [b"application/json", b"Application/JSON", b"application/json; charset=utf-8"])
def test_the_media_type_counts_whatever_its_parameters(value: bytes) -> None:
    JSON_ONLY.check([(b"content-type", value)])


@pytest.mark.parametrize("values", [[], [b"text/plain"], [b"application/json+x"], [b""], [b"application/json"] * 2])
def test_any_other_or_none_or_two_is_refused(values: list[bytes]) -> None:
    with pytest.raises(Refusal) as refused:
        JSON_ONLY.check([(b"content-type", value) for value in values])

    assert refused.value.reason is Reason.UNSUPPORTED_CONTENT


def test_a_door_that_names_no_media_type_takes_any() -> None:
    PLAIN.check([(b"content-type", b"text/plain")])
