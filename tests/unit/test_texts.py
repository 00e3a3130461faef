"""The snapshots in `tests/texts`: each is used by a test, and what differs in each run has a name there."""

import re

import pytest

from tests.support.texts import TESTS, TEXTS, masked


def test_each_text_is_that_of_a_test() -> None:
    """Where some tests are left out, syrupy cannot tell that a text is used by none."""
    for file in TEXTS.rglob("*.txt"):
        module = TESTS / file.relative_to(TEXTS).with_suffix(".py")
        tests = re.findall(r"^(?:async )?def (test_\w+)", module.read_text(), re.MULTILINE)
        assert {*re.findall(r"^# name: (\w+)", file.read_text(), re.MULTILINE)} <= {*tests}, file


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("/tmp/pytest-of-root/pytest-12/popen-gw1/test_x0/run: there", "<folder>/run: there"),  # noqa: S108
        (f"{TESTS.parent}/run/logs", "<project>/run/logs"),
        ("at 2026-11-27 01:02:58Z, 11-27 01:02", "at <time>, <time>"),
        ("onrtac:d61964a8-ed49-4a57-fcf2-dbbc08de96a5", "onrtac:<id>"),
        (f"policy 2-90831fdcc3fd, sha256 {'0' * 64}, {'0' * 64}", "policy 2-<digest>, sha256 <digest 2>, <digest 2>"),
        ("https://127.0.0.1:40123/x", "https://127.0.0.1:<port>/x"),
        ("version 12, 80 columns, 8443", "version 12, 80 columns, 8443"),
    ],
)
def test_what_differs_in_each_run_has_a_name(text: str, named: str) -> None:
    assert masked(text) == named
