"""One colour, mark and word for each thing that people are shown, and how pictures draw it.  Pure.

The console, the pictures of the docs, the figures of the notebooks and `zt audit show --svg` use these alone.  Shapes
say the same as colours.  A person has round ends, a workload a thick left side, which is its gate, and an authority a
double border; a token is a filled chip.  A refusal has its mark in place of an arrow's head, revoked tokens are dashed,
and tampered steps are dotted.
"""

from string import Template
from typing import NamedTuple


class Sign(NamedTuple):
    """A colour on a light page and on a dark one, and the mark that stands before the word."""

    light: str
    dark: str
    mark: str = ""


SIGNS = {
    "granted": Sign("#0f7b55", "#a3efcf", "✓"),
    "refused": Sign("#94101a", "#f47e73", "✕"),
    "revoked": Sign("#8a6200", "#fcc54a", "⊘"),
    "tampered": Sign("#8a1176", "#ff86dc", "⚠\ufe0e"),  # U+FE0E: as text, and not in colours of its own
    "authority": Sign("#3d22a3", "#c6b3ff"),
    "person": Sign("#594806", "#f0e2ae"),
    "workload": Sign("#2f3942", "#b4bdc5"),
    "token": Sign("#0d63a5", "#6fadff"),
}
"""By their words.  Each is at least 4.5 to 1 on the page, as text has to be (WCAG 2.2, 1.4.3)."""
PAGE = {
    "paper": Sign("#ffffff", "#14181d"),
    "raised": Sign("#f3f6f9", "#1e242b"),
    "ink": Sign("#1b1f24", "#e8ecf0"),
    "faint": Sign("#59636e", "#a5b0bb"),
    "line": Sign("#c4ccd4", "#414b55"),
}
_SHAPES = """
text{font:12px -apple-system,"Segoe UI","Helvetica Neue",Arial,"DejaVu Sans",sans-serif}
.name,.head,.chip,tspan{font-weight:bold}.name{font-size:13px}.middle,.chip{text-anchor:middle}.end{text-anchor:end}
.cell,.soft,.head,.says,.halo,.chip{font-size:11px}.hop,.cross{fill:none;stroke-width:2}.thin{stroke-width:1.2}
.phone text{font-size:13px}.phone .name{font-size:14px}.phone .soft,.phone .says,.phone .chip{font-size:12px}
.life{stroke-dasharray:3 3}.outside{stroke-dasharray:5 4}.wash{fill-opacity:.1}.halo{stroke-width:4px}
.signal .hop{stroke-width:1.4}.revoked .hop{stroke-dasharray:6 4}.tampered .hop{stroke-dasharray:2 3}
"""
_COLOURS = Template("""\
text,.tip{fill:$ink}.soft,.head{fill:$faint}.page,.inner,.chip{fill:$paper}.halo{fill:$paper;stroke:$paper}
.frame{fill:$raised;stroke:$line}.life{stroke:$line}.hop,.cross{stroke:$ink}.token,tspan{fill:$token}
.workload,.outside{fill:$paper;stroke:$workload}.person{fill:$paper;stroke:$person}.gate{fill:$workload}
.authority,.inner{fill:$paper;stroke:$authority}.wash.person{fill:$person}.wash.authority,.gate.authority{fill:$authority}
.signal .hop{stroke:$authority}.signal .tip,.signal .says{fill:$authority}
.granted .hop{stroke:$granted}.granted .tip{fill:$granted}
.refused .hop,.refused .cross{stroke:$refused}.refused .tip,.refused .says,.refused .token{fill:$refused}
.revoked .hop{stroke:$revoked}.revoked .tip,.revoked .says{fill:$revoked}
.tampered .hop{stroke:$tampered}.tampered .tip,.tampered .says{fill:$tampered}
""")


_light, _dark = (
    _COLOURS.substitute({name: getattr(sign, page) for name, sign in (SIGNS | PAGE).items()})
    for page in ("light", "dark")
)
LIGHT, DARK = _SHAPES + _light, _SHAPES + _dark
"""The style of a picture that is made for such a page."""
EITHER = f"{LIGHT}@media (prefers-color-scheme:dark){{\n{_dark}}}\n"
"""The style of a picture of which there is one: light, where a program does not know what the reader prefers."""
