"""Figures as SVG: boxes in rows, and arrows between them.  Pure."""

from collections.abc import Mapping, Sequence

from zt.audit.sequence import HEIGHT, STYLE, WIDTH, Arrow, Svg, box, draw, label

__all__ = ["Arrow", "figure"]

GAP, DOWN = 90, 46
"""Pixels between two boxes: beside each other, and below."""


def figure(title: str, boxes: Mapping[str, tuple[int, int]], arrows: Sequence[Arrow]) -> Svg:
    """Return a figure; each box is at a column and a row, and arrows lead to another column."""
    wide = (max(column for column, _ in boxes.values()) + 1) * (WIDTH + GAP) - GAP + 40
    high = (max(row for _, row in boxes.values()) + 1) * (HEIGHT + DOWN) - DOWN + 40
    parts = [box(name, *_corner(place)) for name, place in boxes.items()]
    parts += [_arrow(arrow, _corner(boxes[arrow.start]), _corner(boxes[arrow.end])) for arrow in arrows]
    return draw(title, (wide, high), STYLE, parts)


def _corner(place: tuple[int, int]) -> tuple[int, int]:
    column, row = place
    return 20 + column * (WIDTH + GAP), 20 + row * (HEIGHT + DOWN)


def _arrow(arrow: Arrow, start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1, x2, y2 = start[0] + WIDTH, start[1] + HEIGHT // 2, end[0], end[1] + HEIGHT // 2
    says = label(arrow.says, (x1 + x2) // 2, (y1 + y2) // 2 - 6)
    tip = f'<path class="tip" d="M{x2} {y2}l-9 -4v8z"/>'
    return f'<path class="hop" d="M{x1} {y1}L{x2 - 8} {y2}"/>{tip}{says}'
