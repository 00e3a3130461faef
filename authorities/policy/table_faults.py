"""What is wrong with a decision table: each line, and once each name that it lacks, with all its rows.  Pure.

One misspelt user would otherwise be as many problems as there are rows about them.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from itertools import islice

LONGEST_NAME = 64
"""Characters of a name that is compared with others: to compare two takes time for each pair of their characters."""
MOST_COMPARED = 200
"""Names of a table that a missing one is compared with.  Each takes up to 50 µs."""
MOST_GUESSED = 10
"""Missing names that are compared: whoever has more mends these first."""


class UnknownError(ValueError):
    """No table above has a user or a document of this name."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"the {kind} {name!r} is in no table above")
        self.kind, self.name = kind, name


class Faults:
    """Collects them in the order of the table."""

    def __init__(self) -> None:
        self._lines = list[tuple[int, str]]()
        self._unknown = dict[tuple[str, str], list[int]]()

    def add(self, line: int, error: ValueError) -> None:
        """Note what is wrong with a line; lines come in their order."""
        if isinstance(error, UnknownError):
            self._unknown.setdefault((error.kind, error.name), []).append(line)
        else:
            self._lines.append((line, f"line {line}: {error}"))

    def told(self, known: Mapping[str, Iterable[str]]) -> list[str]:
        """Return a text for each fault, without the file.  `known`: the names that the tables have, by their kind."""
        found = [*self._lines]
        for number, ((kind, name), lines) in enumerate(self._unknown.items()):
            rows = {1: "", 2: " and 1 more row"}.get(len(lines), f" and {len(lines) - 1} more rows")
            near = _nearest(name, known[kind]) if number < MOST_GUESSED else ""
            meant = f": is {near!r} meant?  Correct" if near else ": correct"
            error = UnknownError(kind, name)
            found.append((lines[0], f"line {lines[0]}{rows}: {error}{meant} the name, or add a row there"))
        return [text for _, text in sorted(found, key=lambda one: one[0])]


def _nearest(name: str, known: Iterable[str]) -> str:
    """Return the name that is most like another one; empty if none is."""
    if len(name) > LONGEST_NAME:
        return ""
    names = [one for one in islice(known, MOST_COMPARED) if len(one) <= LONGEST_NAME]
    return next(iter(get_close_matches(name, names, n=1)), "")
