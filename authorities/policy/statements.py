"""The statements of policy files: in which file and line each begins, and what a problem calls it.  Pure."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from zerotrust.policy_work import NO_CODE

_ID = re.compile(r'@id\s*\(\s*"([^"\n]{1,64})"')
_TOKEN = re.compile(r"::|&&|\|\||[=!<>]=|\w+|\S")
_STRAY = re.compile(r"(?<!&)&(?!&)|(?<!\|)\|(?!\|)|[^\w\s@(){}\[\],.;:!<>=&|+*-]")
_END = "unexpected end of input"
MOST_TRIED = 50
"""Places where an unexpected word may be that are tried: each is one reading of the rule up to there."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One rule as it is written, or what should be one."""

    file: str
    line: int
    """Of its first word, from 1."""
    text: str
    """From its first word to its semicolon, or to the end of the file."""

    @property
    def place(self) -> str:
        """File, line and rule."""
        return self.place_of(0)

    def place_of(self, offset: int) -> str:
        """File, line and rule, for a place in the text."""
        named = _ID.search(self.text)
        rule = f"rule {named[1]}" if named else "a rule without an @id"
        return f"{self.file}, line {self.line + self.text.count(chr(10), 0, offset)}, {rule}"

    def place_of_word(self, word: str) -> str:
        """File, line and rule where a word first stands outside of texts and comments, or else in a text."""
        whole = re.compile(r"(?<![=!<>])=(?!=)" if word == "=" else rf"(?<!\w){re.escape(word)}(?!\w)")
        found = whole.search(code(self.text, texts=False)) or whole.search(self.text)
        return self.place_of(found.start() if found else 0)


def statements(files: Mapping[str, str]) -> list[Statement]:
    """Return the statements of all files, in the order in which they are one document: by the files' names."""
    return [one for name in sorted(files) for one in _in_file(name, files[name])]


def _in_file(file: str, text: str) -> Iterator[Statement]:
    masked, start = code(text, texts=True), 0
    while start < len(text):
        end = masked.find(";", start) + 1 or len(text)
        if first := re.compile(r"\S").search(masked, start, end):
            yield Statement(file, text.count("\n", 0, first.start()) + 1, text[first.start() : end])
        start = end


def code(text: str, *, texts: bool) -> str:
    """Return a text of the same length without its comments; what is quoted is one word, or nothing without `texts`."""

    def blank(found: re.Match[str]) -> str:
        return ("_" if texts and found[0].startswith('"') else " ") * len(found[0])

    return NO_CODE.sub(blank, text)


def first_unexpected(text: str, refused: Callable[[str], str | None]) -> tuple[int, str] | None:
    """Return where the word or sign begins that Cedar does not expect, and this word; None if it is not found.

    `refused`: returns why Cedar refuses a text.  It names the word and not its place: the first such word is meant that
    a text may not end with, for any other beginning of a rule only lacks its end.
    """
    masked, why = code(text, texts=True), refused(text) or ""
    if not (named := re.search(r"unexpected token `(.+)`$", why, re.DOTALL)):
        stray = _STRAY.search(masked) if "invalid token" in why else None
        return (stray.start(), stray[0]) if stray else None
    found = (one.span() for one in _TOKEN.finditer(masked) if text[slice(*one.span())] == named[1])
    for start, end in islice(found, MOST_TRIED):
        if _END not in (refused(text[:end]) or _END):
            return start, named[1]
    return None
