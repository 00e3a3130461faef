"""The cases of one attack, as everything is and without each of what stops it; and how many of its tries succeed."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import pytest
from _pytest.mark import ParameterSet

from tests.attacks.table import Missing, Row, described


@dataclass(kw_only=True)
class Try:
    about: tuple[str, ...] = ()
    """What of its row stops this one, where that is not each of the row's controls."""

    def stopped_by(self, *names: str) -> Self:
        """Name the controls that this try is about, by their ids; or what else the row names as stopping it.

        The try counts where one of these controls is missing, and nowhere else.  `a and b` is about both together.
        """
        self.about = names
        return self


def cases(number: int, ways: Sequence[tuple[Missing, ...]]) -> list[ParameterSet]:
    """Return the test cases of that row of the catalogue; `ways`: what is taken away, each in a case of its own."""
    named = [("refused", ()), *((f"succeeds without {described(way)}", way) for way in ways)]
    return [pytest.param(way, id=name, marks=pytest.mark.attack(number, name)) for name, way in named]


def counted(tries: Sequence[Any], missing: Sequence[Missing]) -> list[Any]:
    """Return the tries that one of these missing controls is about, or all of them together."""
    gone = {described(tuple(missing)), *map(described, missing)}
    return [one for one in tries if not one.about or gone & {*one.about}]


def check_that_half_succeed(
    tries: Sequence[Any], missing: Sequence[Missing], record_property: Callable[[str, object], None]
) -> None:
    """Without their control, one try in two succeeds at least: a control that stops fewer stops something else."""
    about = counted(tries, missing)
    succeeded = [one for one in about if one.succeeded]
    record_property("tries", f"{len(succeeded)} of {len(about)}")
    assert 2 * len(succeeded) >= len(about), f"{len(succeeded)} of {len(about)} succeed: another control stops the rest"


def check_what_they_are_about(tries: Sequence[Any], row: Row, record_property: Callable[[str, object], None]) -> None:
    """What a try names is in its row; what is not ours to take away is told with the number of its tries."""
    named = Counter(name for one in tries for name in one.about)
    assert named.keys() <= row.names
    beside = {name: f"{number} of {len(tries)}" for name, number in named.items() if name in row.beside}
    record_property("beside", beside)
