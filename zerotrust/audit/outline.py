"""Whose record a leaf is, and which; its event is not read, so that a million leaves take seconds.  Pure."""

import re
from typing import NamedTuple

from zerotrust.audit.leaf import Heads, heads_of

_OUTLINE = re.compile(
    rb'\{"event":\{.*"schema":1,"service":"(spiffe://[\w./-]+)","time":[0-9]+(?:,"trace":\{[^{}]*\})?\},'
    rb'"n":([1-9][0-9]{0,15}),"prev":"([0-9a-f]{64})"\}'
)
"""From the end: no other text of a record can stand there, for a quotation mark within a string is escaped."""


class Outline(NamedTuple):
    """What a record says of its journal."""

    service: str
    number: int
    previous: str
    """The hash of the line before it."""


def outline(leaf: bytes) -> Outline | Heads:
    """Return whose record a leaf is, or the heads of all journals.  Raises `ValueError` if it is neither."""
    if record := _OUTLINE.fullmatch(leaf):
        return Outline(record[1].decode(), int(record[2]), record[3].decode())
    return heads_of(leaf)
