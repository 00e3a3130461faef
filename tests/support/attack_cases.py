"""The cases of one attack: as everything is, and without each of what stops it."""

from collections.abc import Sequence

import pytest
from _pytest.mark import ParameterSet

from tests.attacks.table import Missing, described


def cases(number: int, ways: Sequence[tuple[Missing, ...]]) -> list[ParameterSet]:
    """Return the test cases of that row of the catalogue; `ways`: what is taken away, each in a case of its own."""
    named = [("refused", ()), *((f"succeeds without {described(way)}", way) for way in ways)]
    return [pytest.param(way, id=name, marks=pytest.mark.attack(number, name)) for name, way in named]
