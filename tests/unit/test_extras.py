"""A missing SDK is told with the extra that has it."""

import pytest

from zerotrust.adapters.extras import extra


def test_a_missing_package_is_reported_with_the_extra_that_has_it() -> None:
    with (
        pytest.raises(ImportError, match=r"sdk is not installed: pip install 'zero-trust-agents\[x\]'"),
        extra("x"),
    ):
        raise ModuleNotFoundError("No module named 'sdk'", name="sdk")


def test_what_else_goes_wrong_in_an_import_is_raised_as_it_is() -> None:
    with pytest.raises(ImportError, match="cannot import name"), extra("x"):
        raise ImportError("cannot import name 'x' from 'sdk'")
