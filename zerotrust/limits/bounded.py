"""Bounds the entries that a party keeps, and the characters of a text that it passes on."""

from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Bounded(OrderedDict[K, V]):
    """A map of at most `most` entries: a new one replaces the oldest."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > self._most:
            self.popitem(last=False)


def cut(text: str, longest: int) -> str:
    """Return at most `longest` characters of a text, and a sign where it was cut."""
    return text if len(text) <= longest else f"{text[:longest]}…"
