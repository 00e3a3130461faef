"""Bounds what a party remembers, in entries, and what it tells, in characters."""

from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Bounded(OrderedDict[K, V]):
    """A map of at most `most` entries: for a new one, the oldest is forgotten."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > self._most:
            self.popitem(last=False)


def cut(text: str, longest: int) -> str:
    """Return a text with so many characters at most, and a sign where it was cut."""
    return text if len(text) <= longest else f"{text[:longest]}…"
