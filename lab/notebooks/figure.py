"""The figures of the notebooks, which are pictures of the docs."""

import re

from start.system import ROOT


class Svg(str):
    """A picture; an untrusted notebook, in which Jupyter shows none, has its title instead."""

    __slots__ = ()

    def _repr_svg_(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        return str(re.findall(r'aria-label="([^"]*)"', self)[0])


def figure(name: str) -> Svg:
    """Return a picture of `docs/pictures` by its name, to stand below a cell."""
    return Svg((ROOT / "docs" / "pictures" / f"{name}.svg").read_text())
