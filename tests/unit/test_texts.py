"""The snapshots in `tests/texts`: each is used by a test."""

import re

from tests.support.texts import TESTS, TEXTS


def test_each_text_is_that_of_a_test() -> None:
    """Where some tests are left out, syrupy cannot tell that a text is used by none."""
    for file in TEXTS.rglob("*.txt"):
        module = TESTS / file.relative_to(TEXTS).with_suffix(".py")
        tests = re.findall(r"^(?:async )?def (test_\w+)", module.read_text(), re.MULTILINE)
        assert {*re.findall(r"^# name: (\w+)", file.read_text(), re.MULTILINE)} <= {*tests}, file
