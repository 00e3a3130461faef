"""What is printed is text: a terminal finds nothing in it to obey, whoever wrote it."""

import io
import re

import pytest
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from zerotrust.authority.visible import printable
from zt.terminal import Terminal

TITLE = "\x1b]0;owned\x07"
RIGHT_TO_LEFT = "\u202egnp.exe"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ✓\nand a second line", "plain text, ✓\nand a second line"),
        (TITLE, r"\x1b]0;owned\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("a\rb\tc\x7f", r"a\rb\tc\x7f"),
        (RIGHT_TO_LEFT, r"\u202egnp.exe"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("line\u2028end", r"line\u2028end"),
        ("not drawn\ufe0e\u3164\U000e0100", r"not drawn\ufe0e\u3164\U000e0100"),
        ("half a pair \ud800", r"half a pair \ud800"),
    ],
)
def test_what_a_terminal_would_obey_or_hide_is_shown_as_its_escape(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


@pytest.mark.parametrize("where", ["text", "table", "tree", "str"])
def test_wherever_it_is_printed(where: str) -> None:
    hostile = f"{TITLE}{RIGHT_TO_LEFT}"
    table, tree = Table("head"), Tree(Text(hostile))
    table.add_row(Text(hostile))
    printed = {"text": Text(hostile), "table": table, "tree": tree, "str": hostile}
    file = io.StringIO()

    Terminal(file=file, width=120, force_terminal=False).print(printed[where])

    assert all(character.isprintable() or character == "\n" for character in file.getvalue())
    assert r"\x1b]0;owned" in file.getvalue()


@pytest.mark.parametrize("where", ["line", "table", "tree", "padding"])
@pytest.mark.parametrize(
    "text", ["[/x]", "[conceal]hidden[/conceal]", "[link=https://evil.example]3-abc[/link]", ":skull:"]
)
def test_in_a_str_nothing_is_markup(where: str, text: str) -> None:
    table = Table(text, title=text, caption=text)
    table.add_row(text)
    printed = {"line": text, "table": table, "tree": Tree(text), "padding": Padding(text)}
    file = io.StringIO()

    Terminal(file=file, width=120, force_terminal=True).print(printed[where])

    assert text in re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue())  # all but colours
