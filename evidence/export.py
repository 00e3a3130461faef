"""An export: the log in one file, which is verified with nothing running.  Pure.

`docs/reference/audit-log.md` has the format.

First the header with the signed checkpoint, then the hashes of all leaves, 256 in a line, then the leaves themselves,
byte for byte, one in a line.  The checkpoint vouches for the hashes, and each hash for its leaf: so the first leaf that
was changed is found by its place.
"""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import orjson

from zerotrust.audit.record import MAX_LINE
from zerotrust.authority.log.tiles import WIDTH, Read, decode_bundle, tile_path
from zerotrust.tlog.checkpoint import checkpoint_of
from zerotrust.tlog.note import Note, decode_base64, parse_note
from zerotrust.tlog.tree import HASH, InvalidLog

VERSION = 1
IN_A_LINE = WIDTH
"""Hashes in a line: those of a tile of the log."""

MOST_LEAVES = 10_000_000
"""Leaves of one export: their hashes, 320 MB, are held in memory while it is verified."""

_HASHES = re.compile(rb'\{"hashes":"([A-Za-z0-9+/=]*)"\}\n')


class InvalidExport(InvalidLog):
    """A line of an export is not what it has to be."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of an export; nothing of it has been verified."""

    checkpoint: Note

    @property
    def line(self) -> bytes:
        """The line, in the canonical form of RFC 8785.  Raises `InvalidExport` if it is too long."""
        content = {"checkpoint": str(self.checkpoint), "export": VERSION}
        line = orjson.dumps(content, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
        if len(line) > MAX_LINE + 1:
            raise InvalidExport(f"a header of more than {MAX_LINE} bytes")
        return line


def header_of(line: bytes) -> Header:
    """Parse the first line.  Raises `InvalidLog`."""
    if not line:
        raise InvalidExport("the file is empty, as a failed export leaves it")
    try:
        content = orjson.loads(line)
        if content["export"] != VERSION:
            raise InvalidExport(f"an export of version {content['export']}: this program reads version {VERSION}")
        found = Header(parse_note(content["checkpoint"].encode()))
        canonical = found.line
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError, UnicodeError) as error:
        raise InvalidExport("not the header of an export") from error
    if canonical != line:
        raise InvalidExport("the header of an export in another form")
    return found


def hashes_line(hashes: bytes) -> bytes:
    """Return a line with hashes of leaves."""
    return b'{"hashes":"%b"}\n' % base64.b64encode(hashes)


def hashes_of(line: bytes) -> bytes:
    """Return the hashes of a line.  Raises `InvalidLog`."""
    if not (found := _HASHES.fullmatch(line)):
        raise InvalidExport("not a line with hashes")
    hashes = decode_base64(found[1].decode())
    if len(hashes) % HASH:
        raise InvalidExport("a line with a part of a hash")
    return hashes


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of an export, each with its newline.  A line that is too long comes in pieces without it."""
    while line := file.readline(MAX_LINE + 1):
        yield line


def export_lines(note: Note, read: Read) -> Iterator[bytes]:
    """Yield the lines of an export of the log with this checkpoint, from its files.

    Raises `InvalidLog` for files that cannot be those of a log, and what `read` raises.  Whether they have the root of
    the checkpoint is for `verification` to say.
    """
    size = checkpoint_of(note).size
    if size > MOST_LEAVES:
        raise InvalidExport(f"a log of {size} leaves: an export has at most {MOST_LEAVES}")
    yield Header(note).line
    for tile, width in _tiles(size):
        hashes = read(tile_path(0, tile, width))
        if len(hashes) != width * HASH:
            raise InvalidLog(f"{tile_path(0, tile, width)} has not {width} hashes")
        yield hashes_line(hashes)
    for tile, width in _tiles(size):
        for entry in decode_bundle(read(tile_path("entries", tile, width)), width):
            if b"\n" in entry:
                raise InvalidExport("an entry with a line break, which no leaf of this log has")
            yield entry + b"\n"


def _tiles(size: int) -> Iterator[tuple[int, int]]:
    """Yield each tile of a log with so many leaves: its index, and its width."""
    for first in range(0, size, WIDTH):
        yield first // WIDTH, min(WIDTH, size - first)
