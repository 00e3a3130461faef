"""Reads the lines of a journal, from the oldest segment on, and finds the first that was changed.

The newest segment is the file that the journal is named after.  Older segments lie beside it under that name and the
number of their first record; they never change.  The oldest are deleted when the audit log has them.
"""

import os
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import IO

from zerotrust.audit.record import GENESIS, MAX_LINE, Link, link_before, link_of

_DIGITS = 16
"""Digits of a segment's number, so that the order of names is the order of records."""


def lines(path: Path) -> Iterator[bytes]:
    """Yield the complete lines of a journal, the oldest first."""
    with path.open("rb") as newest:  # before the listing, which has it too if it is closed now
        for segment in closed_segments_before(path, newest):
            yield from segment_lines(segment)
        yield from _lines(newest)


def segment_lines(segment: Path) -> Iterator[bytes]:
    """Yield the complete lines of one segment, the oldest first."""
    with segment.open("rb") as file:
        yield from _lines(file)


def closed_segments(path: Path) -> list[Path]:
    """Return the older segments of a journal, the oldest first."""
    digits = "[0-9]" * _DIGITS
    return sorted(path.parent.glob(f"{path.name}.{digits}"))


def closed_segments_before(path: Path, newest: IO[bytes]) -> list[Path]:
    """Return the segments before the opened one; any that follow it were begun after it was opened."""
    opened = os.fstat(newest.fileno())
    return [*takewhile(lambda segment: not os.path.samestat(segment.stat(), opened), closed_segments(path))]


def first_number(segment: Path) -> int:
    """Return the number of an older segment's first record, from its name."""
    return int(segment.suffix[1:])


def segment_path(path: Path, first: int) -> Path:
    """Return the path of an older segment, by the number of its first record."""
    return path.with_name(f"{path.name}.{first:0{_DIGITS}}")


def link_at_end(segment: Path) -> Link:
    """Return where the chain stands at the end of an older segment.  Only its last line is read.

    Raises `ValueError` if that line is no record.
    """
    try:
        return link_of(last_line(segment))
    except ValueError as error:
        raise ValueError(f"{segment.name} does not end with a record") from error


def last_line(segment: Path) -> bytes:
    """Return the last line of an older segment, without its newline.  Raises `OSError`."""
    with segment.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - MAX_LINE - 2))
        return file.read().removesuffix(b"\n").rpartition(b"\n")[2]


def link_before_oldest(path: Path) -> Link:
    """Return where the chain stood before the oldest record in the journal, as that record says.

    That is the genesis, unless older segments were deleted because the audit log has them.  Raises `ValueError` if the
    oldest segment does not begin with the record that its name says.
    """
    older = closed_segments(path)
    if not older:
        return GENESIS
    link = link_before(next(segment_lines(older[0]), b""))
    if segment_path(path, link.records + 1) != older[0]:
        raise ValueError(f"{older[0].name} does not begin with its record")
    return link if link.records else GENESIS


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the complete lines of a segment.

    A line that is too long for a record comes in pieces, so that it fills no memory; no piece is a record.
    """
    while line := file.readline(MAX_LINE + 1):
        if line.endswith(b"\n"):
            yield line[:-1]
        elif len(line) > MAX_LINE:
            yield line
