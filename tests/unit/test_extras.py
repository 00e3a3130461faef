"""A missing SDK is reported with the extra that has it."""

import sys

import pytest

from zerotrust.adapters.extras import MissingExtra, extra
from zt.__main__ import main


def test_a_missing_package_is_reported_with_the_extra_that_has_it() -> None:
    with (
        pytest.raises(
            MissingExtra,
            match=r"sdk is not installed: it comes with the extra `x` \(pip install '/path/to/this/repository\[x\]'\)",
        ),
        extra("x"),
    ):
        raise ModuleNotFoundError("No module named 'sdk'", name="sdk")


def test_what_else_goes_wrong_in_an_import_is_raised_as_it_is() -> None:
    with pytest.raises(ImportError, match="cannot import name") as caught, extra("x"):
        raise ImportError("cannot import name 'x' from 'sdk'")
    assert not isinstance(caught.value, MissingExtra)


def test_without_its_extra_zt_ends_with_one_sentence_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "zt.commands", raising=False)
    monkeypatch.setitem(sys.modules, "typer", None)

    with pytest.raises(SystemExit) as ended:
        main()

    assert (
        ended.value.code
        == "typer is not installed: it comes with the extra `zt` (pip install '/path/to/this/repository[zt]')"
    )
