"""The terminal that everything is printed on: it shows what others wrote, and never obeys it."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment


def printable(text: str) -> str:
    r"""Return `text` with every character that a terminal would obey, or would not show, as its escape.

    Control characters (ESC among them), marks that change the direction of writing, and characters of no width become
    what Python would write for them, for example `\x1b`.  Line breaks stay.
    """
    # control: terminal-text-escaped
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


class Terminal(Console):
    """A console whose text is always printable; the styles that rich adds are its own."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments to print; tables and trees come here for each of their cells."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))
