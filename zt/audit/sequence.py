"""Sequence diagrams as SVG: a line for each party, and an arrow for each step.  Pure.

It is readable on a light and on a dark page; the figures of the notebooks are made of the same parts.
"""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import accumulate, pairwise
from types import MappingProxyType
from typing import NamedTuple

WIDTH, HEIGHT = 130, 46
"""Pixels of a box."""
HEAD = 26
"""Pixels above a figure, for its title."""
STYLE = (
    "text{font:12px sans-serif;fill:#1f2328;text-anchor:middle}.page{fill:#fff}"
    ".box{fill:#f6f8fa;stroke:#57606a}.hop{stroke:#57606a;stroke-width:1.5;fill:none}.tip{fill:#57606a}"
    ".says,.halo{font-size:11px}.halo{stroke:#fff;stroke-width:4px}"
)
_TITLE = "font:bold 13px sans-serif;fill:#1f2328;text-anchor:start"
APART, STEP, TOP = 190, 44, 94
"""Pixels between two lines at least, between two steps, and above the first step."""
BELOW = 61
"""Where in a box the text below a name stands."""
CHARACTER, LARGE = 6.4, 7.6
"""Pixels that a character of a step takes, and one of a name or a title, where it is wide."""
OWN = 30
"""Pixels from a line to what its party does by itself."""
_MORE = ".life{stroke:#afb8c1;stroke-dasharray:3 3}.own{text-anchor:start}"
_REFUSED = ".no .hop{stroke:#cf222e}.no .tip,.no .says{fill:#cf222e}"


class Arrow(NamedTuple):
    """Who calls whom, and with what."""

    start: str
    end: str
    says: str
    refused: bool = False


class Svg(str):
    """A figure; an untrusted notebook, in which Jupyter shows no figures, has its title instead."""

    __slots__ = ("heading",)
    heading: str

    def _repr_svg_(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        return self.heading


def draw(title: str, size: tuple[int, int], style: str, parts: Sequence[str]) -> Svg:
    """Return a figure of this width and height, and above it its title."""
    wide, high = size[0], size[1] + HEAD
    svg = Svg(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" '
        f'role="img" aria-label="{escape(title)}"><style>{style}</style>\n'
        f'<rect class="page" width="{wide}" height="{high}" rx="8"/>\n'
        f'<text style="{_TITLE}" x="20" y="24">{escape(title)}</text>\n'
        f'<g transform="translate(0 {HEAD})">\n' + "\n".join(parts) + "\n</g></svg>"
    )
    svg.heading = title
    return svg


def box(name: str, x: int, y: int, wide: int = WIDTH) -> str:
    """Return a box with its name; `x` and `y` are its upper left corner."""
    text = f'<text x="{x + wide // 2}" y="{y + HEIGHT // 2 + 4}">{escape(name)}</text>'
    return f'<rect class="box" x="{x}" y="{y}" width="{wide}" height="{HEIGHT}" rx="6"/>{text}'


def label(text: str, x: int, y: int, more: str = "") -> str:
    """Return what an arrow says, on a white outline over whatever lies behind it; `more`: classes of the text.

    The outline is a text of its own, because not every program that draws SVG knows `paint-order`.
    """
    at = f'x="{x}" y="{y}">{escape(text)}</text>'
    return f'<text class="halo{more}" aria-hidden="true" {at}<text class="says{more}" {at}'


def sequence(
    title: str, parties: Sequence[str], steps: Sequence[Arrow], more: Mapping[str, str] = MappingProxyType({})
) -> Svg:
    """Return a figure in which each step is numbered; an arrow leads over other lines, or back to where it began.

    The lines are so far apart that each step fits between its two.  `more` stands below the names of parties.
    """
    said = [f"{number}. {step.says}" for number, step in enumerate(steps, 1)]
    order = {party: number for number, party in enumerate(parties)}
    boxes = [max(WIDTH, *(round(len(text) * LARGE) for text in (party, more.get(party, "")))) for party in parties]
    at = dict(zip(parties, _places(order, boxes, steps, said), strict=True))
    own = [
        at[step.start] + OWN + round(len(text) * CHARACTER) + 6
        for step, text in zip(steps, said, strict=True)
        if step.start == step.end
    ]
    wide = max(at[parties[-1]] + boxes[-1] // 2 + 20, 40 + round(len(title) * LARGE), *own, 0)
    high = TOP + len(steps) * STEP
    tops = zip(at.items(), boxes, strict=True)
    lines = [f'<path class="life" d="M{x} 66V{high - 20}"/>' + box(name, x - w // 2, 20, w) for (name, x), w in tops]
    lines += [f'<text class="says" x="{at[party]}" y="{BELOW}">{escape(text)}</text>' for party, text in more.items()]
    arrows = [
        _step(text, at[step.start], at[step.end], TOP + number * STEP - 20, refused=step.refused)
        for number, (step, text) in enumerate(zip(steps, said, strict=True), 1)
    ]
    style = STYLE + _MORE + (_REFUSED if any(step.refused for step in steps) else "")
    return draw(title, (wide, high), style, [*lines, *arrows])


def _places(order: dict[str, int], boxes: list[int], steps: Sequence[Arrow], said: list[str]) -> list[int]:
    gaps = [max(APART, (left + right) // 2 + 20) for left, right in pairwise(boxes)]
    for step, text in zip(steps, said, strict=True):
        first, last = sorted((order[step.start], order[step.end]))
        if first < last:
            gaps[last - 1] += max(0, round(len(text) * CHARACTER) + 24 - sum(gaps[first:last]))
    return list(accumulate(gaps, initial=boxes[0] // 2 + 20))


def _step(says: str, start: int, end: int, y: int, *, refused: bool) -> str:
    if start == end:  # what a party does by itself
        text = label(says, start + OWN, y - 2, " own")
        hop, tip = f"M{start} {y - 12}h22v12H{start + 9}", f"M{start} {y}l9 -4v8z"
    else:
        back = 9 if end > start else -9
        text = label(says, (start + end) // 2, y - 6)
        hop, tip = f"M{start} {y}H{end - back}", f"M{end} {y}l{-back} -4v8z"
    drawing = f'<path class="hop" d="{hop}"/><path class="tip" d="{tip}"/>'
    return f'<g class="no">{drawing}{text}</g>' if refused else drawing + text
