"""Parts of figures as SVG, readable on a light and on a dark page.  Pure."""

from collections.abc import Sequence
from html import escape
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


def drawn(title: str, size: tuple[int, int], style: str, parts: Sequence[str]) -> Svg:
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
