"""The cases of one attack: as everything is, and without each of what stops it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from tests.attacks.table import Missing, described

observers: list[Callable[[Sequence[Any], Path | None], object]] = []
"""Called with the tries of each attack, and with the folder of its journals: `tests/proof` records them."""


def cases(number: int, ways: Sequence[tuple[Missing, ...]]) -> list[ParameterSet]:
    """Return the test cases of that row of the catalogue; `ways`: what is taken away, each in a case of its own."""
    named = [("refused", ()), *((f"succeeds without {described(way)}", way) for way in ways)]
    return [pytest.param(way, id=name, marks=pytest.mark.attack(number, name)) for name, way in named]


def observed(tries: Sequence[Any], folder: Path | None = None) -> None:
    """Tell the observers what an attack came to."""
    for observe in observers:
        observe(tries, folder)
