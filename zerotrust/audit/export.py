"""An export: the log in one file, which is verified with nothing running.  Pure.

`docs/reference/audit-log.md` has the format.

First the header with the signed checkpoint, then the hashes of all leaves, 256 in a line, then the leaves themselves,
byte for byte, one in a line.  The checkpoint vouches for the hashes, and each hash for its leaf: so the first leaf that
was changed is found by its place.
"""

import base64
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import orjson

from zerotrust.audit.record import MAX_LINE
from zerotrust.tlog.checkpoint import Checkpoint, checkpoint_of
from zerotrust.tlog.compact import CompactRange, compact
from zerotrust.tlog.note import Note, decoded, parsed
from zerotrust.tlog.tiles import HEIGHT, WIDTH, Read, entries_of, path, reader
from zerotrust.tlog.tree import HASH, InvalidLog

VERSION = 1
IN_A_LINE = WIDTH
"""Hashes in a line, as in a tile of the log; the last line has the rest."""

MOST_LEAVES = 10_000_000
"""Leaves of one export: their hashes, 320 MB, are held in memory while it is verified."""

_HASHES = re.compile(rb'\{"hashes":"([A-Za-z0-9+/=]*)"\}\n')


class InvalidExport(InvalidLog):
    """A line of an export is not what it has to be."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of an export; nothing of it has been verified."""

    checkpoint: Note
    after: int = 0
    """So many leaves at the beginning of the log are left out."""
    before: tuple[bytes, ...] = ()
    """What stands for those: the roots of their largest perfect subtrees."""

    @property
    def line(self) -> bytes:
        """The line, in the canonical form of RFC 8785.  Raises `InvalidExport` if it is too long."""
        content: dict[str, object] = {"checkpoint": str(self.checkpoint), "export": VERSION}
        if self.after:
            content |= {"after": self.after, "before": [base64.b64encode(one).decode() for one in self.before]}
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
        before = tuple(decoded(one) for one in content.get("before", ()))
        found = Header(parsed(content["checkpoint"].encode()), content.get("after", 0), before)
        canonical = found.line
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError, UnicodeError) as error:
        raise InvalidExport("not the header of an export") from error
    if canonical != line or type(found.after) is not int or any(len(one) != HASH for one in before):
        raise InvalidExport("the header of an export in another form")
    return found


def hashes_line(hashes: bytes) -> bytes:
    """Return a line with hashes of leaves."""
    return b'{"hashes":"%b"}\n' % base64.b64encode(hashes)


def hashes_of(line: bytes) -> bytes:
    """Return the hashes of a line.  Raises `InvalidLog`."""
    if not (found := _HASHES.fullmatch(line)):
        raise InvalidExport("not a line with hashes")
    hashes = decoded(found[1].decode())
    if len(hashes) % HASH:
        raise InvalidExport("a line with a part of a hash")
    return hashes


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of an export, each with its newline.  One that is too long comes in pieces, which have none."""
    while line := file.readline(MAX_LINE + 1):
        yield line


def exported(note: Note, read: Read, after: int = 0) -> Iterator[bytes]:
    """Yield the lines of an export of the log with this checkpoint, from its files, without the first `after` leaves.

    Raises `InvalidLog` for files that cannot be those of a log, and what `read` raises.  Whether they have the root of
    the checkpoint is for `verification` to say.
    """
    size = checkpoint_of(note).size
    if not 0 <= after <= size or size - after > MOST_LEAVES:
        raise InvalidExport(f"leaves from {after} on of a log of {size}: an export has at most {MOST_LEAVES}")
    before = compact(after, reader(read, size)).hashes
    yield Header(note, after, tuple(before)).line
    yield from map(hashes_line, _pieces(_hashes(read, after, size)))
    for tile, skipped, width in _tiles(after, size):
        for entry in entries_of(read(path("entries", tile, width)), width)[skipped:]:
            if b"\n" in entry:
                raise InvalidExport("an entry with a line break, which no leaf of this log has")
            yield entry + b"\n"


def first_root(checkpoint: Checkpoint, header: Header) -> CompactRange:
    """Return what a header says of the leaves that are left out.  Raises `InvalidLog`."""
    if not 0 <= header.after <= checkpoint.size:
        raise InvalidExport(f"the header leaves out {header.after} of {checkpoint.size} leaves")
    return CompactRange(header.after, header.before)


def _tiles(after: int, size: int) -> Iterator[tuple[int, int, int]]:
    """Yield each tile of the leaves from `after` on: its index, how many of its leaves are before that, its width."""
    for tile in range(after >> HEIGHT, (size + WIDTH - 1) >> HEIGHT):
        yield tile, max(0, after - tile * WIDTH), min(WIDTH, size - tile * WIDTH)


def _hashes(read: Read, after: int, size: int) -> Iterator[bytes]:
    for tile, skipped, width in _tiles(after, size):
        raw = read(path(0, tile, width))
        if len(raw) != width * HASH:
            raise InvalidLog(f"{path(0, tile, width)} has not {width} hashes")
        yield raw[skipped * HASH :]


def _pieces(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same hashes, as many as a line has."""
    rest = b""
    for part in parts:
        rest += part
        while len(rest) >= IN_A_LINE * HASH:
            yield rest[: IN_A_LINE * HASH]
            rest = rest[IN_A_LINE * HASH :]
    if rest:
        yield rest
