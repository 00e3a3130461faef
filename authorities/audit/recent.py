"""Keeps checkpoints of the last day: a proof by one of them shows when the log had a leaf, not when it was asked for.

They are in memory.  After a restart, and for older leaves, a proof is by a later checkpoint.
"""

import math
from collections import deque
from typing import NamedTuple

from zerotrust.tlog.note import Note

APART = 10.0
"""Seconds between two kept checkpoints: a small part of the time that a certificate lives after it signs a receipt."""
MOST = 8_640
"""Checkpoints that are kept: those of a day, each with less than 1 kB."""


class _Published(NamedTuple):
    size: int
    note: Note
    at: float


class Recent:
    """Some of the published checkpoints: for each leaf, a checkpoint published at most `APART` later."""

    def __init__(self) -> None:
        self._kept = deque[_Published](maxlen=MOST)
        self._newest: _Published | None = None

    def add(self, size: int, note: Note, now: float) -> None:
        """Note the checkpoint that was published now; `now`: seconds of any clock that goes on."""
        since = self._kept[-1].at if self._kept else -math.inf
        if self._newest and now - since >= APART:
            self._kept.append(self._newest)
        self._newest = _Published(size, note, now)

    def first(self, leaf: int) -> Note | None:
        """Return the first checkpoint with a leaf, of those that are there; None if it is not published."""
        known = [*self._kept, *([self._newest] if self._newest else [])]
        return next((one.note for one in known if one.size > leaf), None)
