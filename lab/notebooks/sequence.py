"""Who sends what to whom, in order, as SVG: a line for each party, and an arrow for each step.  Pure."""

from collections.abc import Sequence

from lab.notebooks.figure import STYLE, Arrow, Svg, box, drawn, label

APART, STEP, TOP = 190, 44, 94
"""Pixels between two lines, between two steps, and above the first step."""
_MORE = ".life{stroke:#afb8c1;stroke-dasharray:3 3}.own{text-anchor:start}"


def sequence(title: str, parties: Sequence[str], steps: Sequence[Arrow]) -> Svg:
    """Return a figure in which each step is numbered; an arrow leads over other lines, or back to where it began."""
    at = {party: 85 + number * APART for number, party in enumerate(parties)}
    wide, high = (len(parties) - 1) * APART + 170, TOP + len(steps) * STEP
    lines = [f'<path class="life" d="M{x} 66V{high - 20}"/>' + box(party, x - 65, 20) for party, x in at.items()]
    arrows = [_step(f"{n}. {s.says}", at[s.start], at[s.end], TOP + n * STEP - 20) for n, s in enumerate(steps, 1)]
    return drawn(title, (wide, high), STYLE + _MORE, [*lines, *arrows])


def _step(says: str, start: int, end: int, y: int) -> str:
    if start == end:  # what a party does by itself
        text = label(says, start + 30, y - 2, " own")
        loop = f'<path class="hop" d="M{start} {y - 12}h22v12H{start + 9}"/>'
        return f'{loop}<path class="tip" d="M{start} {y}l9 -4v8z"/>{text}'
    back = 9 if end > start else -9
    text = label(says, (start + end) // 2, y - 6)
    return f'<path class="hop" d="M{start} {y}H{end - back}"/><path class="tip" d="M{end} {y}l{-back} -4v8z"/>{text}'
