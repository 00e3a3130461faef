"""Measured times as SVG: a dot for each, on a logarithmic scale, and a line for the bound.  Pure.

A stored chart keeps the numbers of the run that it was made in.  What is measured has the class `measured`, and is left
out when two runs are compared (`normal.py`); everything else has to be the same.
"""

from collections.abc import Mapping, Sequence
from html import escape
from math import log10
from typing import NamedTuple

from lab.notebooks.figure import Svg, drawn

LEFT, RIGHT, DECADE, ROW, TOP = 150, 90, 120, 20, 34
"""Pixels: beside the scale, for ten times as long, for a row, and above the first."""
DECADES = 4
"""From 1 ms to 10 s, after which `demo/revocation_delays.py` gives up."""
SPACE = "\N{NO-BREAK SPACE}"
"""Before a unit.  A plain one would make `normal.py` take the number away."""
_STYLE = (
    "text{font:12px sans-serif;fill:#1f2328}.page{fill:#fff}.grid{stroke:#d0d7de}.bound{stroke:#bc4c00;"
    "stroke-width:1.5;stroke-dasharray:4 3}.most{fill:#bc4c00;font-size:11px}.what{font-weight:bold}"
    ".end{text-anchor:end}.axis{font-size:11px;fill:#57606a;text-anchor:middle}circle{fill:#0969da}"
)


class Times(NamedTuple):
    """How long something took in each place, and how long it may take at most; in seconds."""

    what: str
    bound: float
    took: Mapping[str, float]


def chart(title: str, groups: Sequence[Times]) -> Svg:
    """Return a chart with a group of rows for each of `groups`; times outside of the scale are at its ends."""
    wide, y, parts = LEFT + DECADES * DECADE + RIGHT, TOP, list[str]()
    for group in groups:
        parts += _group(group, y)
        y += ROW * (len(group.took) + 1) + 12
    marks = [_mark(10**power, y) for power in range(DECADES + 1)]
    return drawn(title, (wide, y + 26), _STYLE, [*marks, *parts])


def _group(group: Times, y: int) -> list[str]:
    x, end = _at(group.bound * 1e3), y + ROW * len(group.took) + 6
    rows = [_row(name, seconds * 1e3, y + ROW * number) for number, (name, seconds) in enumerate(group.took.items(), 1)]
    return [
        f'<text class="what" x="16" y="{y}">{escape(group.what)}</text>',
        f'<path class="bound" d="M{x:.1f} {y + 4}V{end}"/>',
        f'<text class="most" x="{x + 4:.1f}" y="{y}">at most {_said(group.bound * 1e3)}</text>',
        *rows,
    ]


def _row(name: str, ms: float, y: int) -> str:
    x = _at(ms)
    return (
        f'<text class="end" x="{LEFT - 12}" y="{y + 4}">{escape(name)}</text>'
        f'<circle class="measured" cx="{x:.1f}" cy="{y}" r="4.5"/>'
        f'<text class="measured" x="{x + 9:.1f}" y="{y + 4}">{ms:.{1 if ms < 10 else 0}f}{SPACE}ms</text>'
    )


def _mark(ms: float, y: int) -> str:
    x = _at(ms)
    return f'<path class="grid" d="M{x:.1f} 16V{y - 4}"/><text class="axis" x="{x:.1f}" y="{y + 12}">{_said(ms)}</text>'


def _at(ms: float) -> float:
    return LEFT + DECADE * min(log10(max(ms, 1)), DECADES)


def _said(ms: float) -> str:
    return f"{ms / 1e3:g}{SPACE}s" if ms >= 1e3 else f"{ms:g}{SPACE}ms"
