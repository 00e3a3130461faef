"""The catalogue and the tests of it are about the same attacks."""

import re
from pathlib import Path

from tests.attacks.table import ROWS


def test_every_row_is_tried_and_whatever_is_tried_is_a_row() -> None:
    tests = "".join(file.read_text() for file in Path(__file__).parent.glob("test_?_*.py"))
    tried = {int(number) for number in re.findall(r"^@(?:pytest\.mark\.)?attack\((\d+)", tests, re.MULTILINE)}

    assert tried == set(ROWS)
