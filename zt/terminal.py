"""The terminal for all output: it shows text of others without executing its control characters."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from zerotrust.authority.visible import printable


class Terminal(Console):
    """A console whose text is always printable.  Styles come from `Text` alone: in a `str`, nothing is markup."""

    def __init__(self, **how: Any) -> None:
        """`how`: what else rich's console takes."""
        super().__init__(markup=False, emoji=False, **how)  # control: terminal-without-markup

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments to print; tables and trees call this for each of their cells."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))
