"""Sequence diagrams as SVG: a line for each party, and an arrow for each step.  Pure."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from itertools import accumulate, pairwise
from textwrap import wrap
from typing import NamedTuple

from zt.signs import EITHER, SIGNS

WIDTH, HEIGHT = 130, 46
"""Pixels of a party's box."""
APART, STEP, LINE, TOP = 175, 30, 13, 114
"""Pixels between two lines at least, of a step, of each line of its text, and above the first step."""
CHARACTER, LARGE = 6.4, 7.6
"""Pixels that a character of a step takes, and one of a name or a title, where it is wide."""
OWN = 30
"""Pixels from a line to what its party does by itself."""
_TOKEN = re.compile(r"\bT\d[a-z]*\b")


class Arrow(NamedTuple):
    """The caller, the called party, and the token."""

    start: str
    end: str
    says: str
    sign: str = "granted"
    """One of `SIGNS`."""


def sequence(title: str, parties: Mapping[str, str], steps: Sequence[Arrow], more: Mapping[str, str]) -> str:
    """Return a picture in which each step is numbered; an arrow leads over other lines, or back to where it began.

    `parties`: each with its kind, which is person, workload or authority.  `more` stands below the names of parties.
    """
    boxes = [max(WIDTH, *(round(len(text) * LARGE) for text in (party, more.get(party, "")))) for party in parties]
    gaps = [max(APART, (left + right) // 2 + 20) for left, right in pairwise(boxes)]
    at = dict(zip(parties, accumulate(gaps, initial=boxes[0] // 2 + 20), strict=True))
    said = [_lines(number, step, abs(at[step.start] - at[step.end])) for number, step in enumerate(steps, 1)]
    ends = [*accumulate((STEP + LINE * len(lines) for lines in said), initial=TOP - STEP)]
    own = [at[step.start] + OWN + 2 * APART for step in steps if step.start == step.end]
    wide = max([*at.values()][-1] + boxes[-1] // 2 + 20, 40 + round(len(title) * LARGE), *own)
    high, name = ends[-1] + 40, escape(title)
    heads = [
        f'<path class="life" d="M{x} 92V{ends[-1] + 20}"/>' + _head(party, more.get(party, ""), kind, x, box_wide)
        for (party, kind), x, box_wide in zip(parties.items(), at.values(), boxes, strict=True)
    ]
    arrows = [
        f'<g class="{step.sign}">{_step(lines, at[step.start], at[step.end], y, arrives=step.sign != "refused")}</g>'
        for step, lines, y in zip(steps, said, ends[1:], strict=True)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" '
        f'role="img" aria-label="{name}"><style>{EITHER}</style>\n'
        f'<rect class="page" width="{wide}" height="{high}" rx="8"/>\n'
        f'<text class="name" x="20" y="24">{name}</text>\n' + "\n".join([*heads, *arrows]) + "\n</svg>\n"
    )


def _lines(number: int, step: Arrow, room: int) -> list[str]:
    """Return what a step says, with its sign unless it was granted, in lines that fit."""
    sign = f"{SIGNS[step.sign].mark} {step.sign}: " if step.sign != "granted" else ""
    return wrap(f"{number}. {sign}{step.says}", int(((room or 2 * APART) - 24) / CHARACTER))


def _head(name: str, more: str, kind: str, x: int, wide: int) -> str:
    said = f'<text class="name middle" x="{x}" y="{66 if more else 73}">{escape(name)}</text>'
    said += f'<text class="soft middle" x="{x}" y="82">{escape(more)}</text>' if more else ""
    return _box(kind, x - wide // 2, wide) + said


def _box(kind: str, x: int, wide: int) -> str:
    """Return the shape of a person, a workload or an authority, with its left end at `x`."""
    corner, inset = (HEIGHT // 2 if kind == "person" else 6), (4 if kind == "authority" else 0)
    shape = f'<rect class="{kind}" x="{x}" y="46" width="{wide}" height="{HEIGHT}" rx="{corner}"/>'
    if kind == "workload":
        return f'{shape}<rect class="gate" x="{x}" y="46" width="7" height="{HEIGHT}" rx="3"/>'
    inner = f'x="{x + inset}" y="{46 + inset}" width="{wide - 2 * inset}" height="{HEIGHT - 2 * inset}"'
    return f'{shape}<rect class="wash {kind}" {inner} rx="{corner - inset // 2}"/>'


def _step(lines: list[str], start: int, end: int, y: int, *, arrives: bool) -> str:
    """Return an arrow at this height, and above it what it says; what does not arrive ends in a cross before."""
    if start == end:  # what a party does by itself
        hop, back, x, anchor = f"M{start} {y - 12}h22v12H", -9, start + OWN, ""
    else:
        hop, back, x, anchor = f"M{start} {y}H", 9 if end > start else -9, (start + end) // 2, " middle"
    tip = f'<path class="tip" d="M{end} {y}l{-back} -4v8z"/>'
    if not arrives:
        tip = f'<path class="cross" d="M{end - back - 4} {y - 5}l8 10m0 -10l-8 10"/>'
    said = [_label(text, x, y - 6 - LINE * above, anchor) for above, text in enumerate(reversed(lines))]
    return f'<path class="hop" d="{hop}{end - back}"/>{tip}' + "".join(reversed(said))


def _label(text: str, x: int, y: int, anchor: str) -> str:
    """Return what an arrow says, with an outline over whatever lies behind it.

    The outline is a text of its own, because not every program that draws SVG knows `paint-order`.
    """
    at, plain = f'x="{x}" y="{y}"', escape(text)
    said = _TOKEN.sub(r"<tspan>\g<0></tspan>", plain)
    halo = f'<text class="halo{anchor}" aria-hidden="true" {at}>{plain}</text>'
    return f'{halo}<text class="says{anchor}" {at}>{said}</text>'
