"""The chart of measured times: stored with its numbers, and compared without them, and without nothing else."""

import json
import re

import pytest

from lab.notebooks.chart import Times, chart
from lab.notebooks.normal import differences, normal

SLOWER = {"orchestrator": 0.0052, "agent/reader": 0.012}
FASTER = {"orchestrator": 0.0004, "agent/reader": 0.0049}


def drawn(took: dict[str, float], what: str = "401 revoked: alice signs out", bound: float = 3) -> str:
    shown = chart("Delays", [Times(what, bound, took)])
    data = {"image/svg+xml": shown._repr_svg_(), "text/plain": repr(shown)}
    return normal(json.dumps(data, indent=1, ensure_ascii=False))


def test_a_stored_chart_has_the_numbers_of_its_run() -> None:
    beside_dots = re.findall(r'class=\\"measured\\" x=[^>]+>([\d.]+)\xa0ms<', drawn(SLOWER))

    assert beside_dots == ["5.2", "12"]


def test_what_was_measured_is_no_difference() -> None:
    assert drawn(SLOWER) != drawn(FASTER)
    assert differences(drawn(SLOWER), drawn(FASTER)) == []


@pytest.mark.parametrize(
    "other",
    [
        drawn(SLOWER, what="403 revoked: alice signs out"),
        drawn(SLOWER, what="401 expired: alice signs out"),
        drawn(SLOWER, bound=1),
        drawn({"orchestrator": 0.0052}),
        drawn(SLOWER | {"inference": 0.0052}),
        drawn({"orchestrator": 0.0052, "agent/writer": 0.012}),
    ],
)
def test_anything_else_is_a_difference(other: str) -> None:
    assert differences(drawn(SLOWER), other) != []
