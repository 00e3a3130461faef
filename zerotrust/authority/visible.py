"""Decides whether people see a character, and shows those that they would not.  Pure."""

import re

_UNSEEN = re.compile(
    r"[\u034F\u115F\u1160\u17B4\u17B5\u180B-\u180F\u2800\u3164\uFE00-\uFE0F\uFFA0\U000E0100-\U000E01EF]"
)
"""Printable for Python, drawn by no font: Unicode's Default_Ignorable_Code_Point, and the empty Braille cell."""


def visible(character: str) -> bool:
    """Return whether a character is drawn, or is a space: no control, no mark of direction, nothing without width."""
    return character.isprintable() and not _UNSEEN.match(character)


def printable(text: str) -> str:
    r"""Return `text` with every control character and every invisible character escaped.

    Control characters (including ESC), marks that change the direction of writing, and characters without width become
    Python escapes, for example `\x1b`.  Line breaks stay.
    """
    # control: terminal-text-escaped
    return "".join(c if visible(c) or c == "\n" else c.encode("unicode_escape").decode() for c in text)
