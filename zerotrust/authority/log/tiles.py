"""A log as files that never change once they are full (c2sp.org/tlog-tiles): hashes and entries, 256 in each.  Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from zerotrust.authority.log.proofs import Node
from zerotrust.tlog.tree import EMPTY, HASH, InvalidLog, leaf_hash, node_hash

WIDTH, HEIGHT = 256, 8
"""Hashes in a full tile, and the levels of the tree that it spans."""

MAX_ENTRY = 65_535
"""Bytes of an entry: its length is a uint16.  No record of a journal is longer (`record.MAX_LINE`)."""

CACHED = 64
"""Tiles that a reader keeps: a proof needs one for each of at most eight levels."""

Read = Callable[[str], bytes]
"""Returns the content of a file of the log, by its path."""


def tile_path(level: int | str, index: int, width: int = WIDTH) -> str:
    """Return the path of a tile; `level` is "entries" for a bundle of entries."""
    found = f"{index % 1000:03d}"
    while index >= 1000:
        index //= 1000
        found = f"x{index % 1000:03d}/{found}"
    return f"tile/{level}/{found}" + (f".p/{width}" if width < WIDTH else "")


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """Return entries as a file of the log.  Raises `InvalidLog` if one is too long."""
    parts = []
    for entry in entries:
        if len(entry) > MAX_ENTRY:
            raise InvalidLog(f"an entry of more than {MAX_ENTRY} bytes")
        parts += [len(entry).to_bytes(2, "big"), entry]
    return b"".join(parts)


def decode_bundle(raw: bytes, count: int) -> list[bytes]:
    """Return the entries of a bundle.  Raises `InvalidLog` unless it has exactly `count`."""
    found, at = list[bytes](), 0
    for _ in range(count):
        start, length = at + 2, int.from_bytes(raw[at : at + 2], "big")
        found.append(raw[start : start + length])
        at = start + length
    if at != len(raw):
        raise InvalidLog(f"a bundle without exactly {count} entries")
    return found


def read_part(read: Read, name: str) -> bytes:
    """Return a file of a log; a partial file that is gone is cut from the full one, which replaced it.

    `read` raises `FileNotFoundError` for a file that is not there.  Raises `InvalidLog` for an invalid bundle.
    """
    try:
        return read(name)
    except FileNotFoundError:
        full, partial, width = name.partition(".p/")
        if not partial:
            raise
    raw = read(full)
    if full.startswith("tile/entries/"):
        return encode_bundle(decode_bundle(raw, WIDTH)[: int(width)])
    return raw[: int(width) * HASH]


def node_reader(read: Read, size: int) -> Node:
    """Return a function that reads the hashes of a log of `size` entries from its tiles.  Only a root verifies them.

    That function raises `InvalidLog` for a tile of another length, and what `read` raises.
    """

    @lru_cache(CACHED)
    def tile(level: int, index: int) -> bytes:
        width = min(WIDTH, (size >> HEIGHT * level) - index * WIDTH)
        found = read(tile_path(level, index, width))
        if len(found) != width * HASH:
            raise InvalidLog(f"{tile_path(level, index, width)} has not {width} hashes")
        return found

    def node(level: int, index: int) -> bytes:
        height, within = divmod(level, HEIGHT)
        start = index << within
        hashes = tile(height, start // WIDTH)
        at = start % WIDTH * HASH
        return _perfect_root([hashes[at + n * HASH : at + (n + 1) * HASH] for n in range(1 << within)])

    return node


@dataclass(frozen=True, slots=True)
class Edge:
    """The parts of a log that more entries change: its last tiles, and its last bundle."""

    size: int = 0
    bundle: tuple[bytes, ...] = ()
    """Entries of the last bundle, unless it is full."""
    tiles: tuple[tuple[bytes, ...], ...] = ()
    """For each level from the leaves up, the hashes of the last tile, unless it is full."""

    @property
    def root(self) -> bytes:
        found = b""
        for hashes in self.tiles:
            for part in reversed(list(_perfect_subtrees(hashes))):
                found = node_hash(part, found) if found else part
        return found or EMPTY


def append_entries(edge: Edge, entries: Sequence[bytes]) -> tuple[Edge, dict[str, bytes]]:
    """Return the edge with these entries, and the files that its checkpoint needs.  Raises `InvalidLog`."""
    files = dict[str, bytes]()
    last = _add_files(files, "entries", edge.size // WIDTH, [*edge.bundle, *entries], encode_bundle)
    new, tiles = list(map(leaf_hash, entries)), list[tuple[bytes, ...]]()
    while new:
        level = len(tiles)
        hashes = [*(edge.tiles[level] if level < len(edge.tiles) else ()), *new]
        tiles.append(tuple(_add_files(files, level, (edge.size >> HEIGHT * level) // WIDTH, hashes, b"".join)))
        full = range(0, len(hashes) - len(tiles[-1]), WIDTH)
        new = [_perfect_root(hashes[start : start + WIDTH]) for start in full]
    return Edge(edge.size + len(entries), tuple(last), (*tiles, *edge.tiles[len(tiles) :])), files


def restore_edge(read: Read, size: int) -> Edge:
    """Return the edge of a log of `size` entries, from its files.  Raises `InvalidLog`, and what `read` raises.

    It reads one tile a level, however long the log is.  Compare its root with the checkpoint.
    """
    tiles = list[tuple[bytes, ...]]()
    while hashes := size >> HEIGHT * len(tiles):
        index, width = divmod(hashes, WIDTH)
        raw = read(tile_path(len(tiles), index, width)) if width else b""
        if len(raw) != width * HASH:
            raise InvalidLog(f"{tile_path(len(tiles), index, width)} has not {width} hashes")
        tiles.append(tuple(raw[at : at + HASH] for at in range(0, len(raw), HASH)))
    index, width = divmod(size, WIDTH)
    entries = decode_bundle(read(tile_path("entries", index, width)), width) if width else []
    if tiles and list(map(leaf_hash, entries)) != list(tiles[0]):
        raise InvalidLog(f"{tile_path('entries', index, width)} has other entries than its tile")
    return Edge(size, tuple(entries), tuple(tiles))


def _add_files(
    files: dict[str, bytes], level: int | str, index: int, parts: list[bytes], join: Callable[[list[bytes]], bytes]
) -> list[bytes]:
    """Add the files with these parts, from the tile `index` on.  Return the parts of the last, unless it is full."""
    for number, start in enumerate(range(0, len(parts), WIDTH)):
        some = parts[start : start + WIDTH]
        files[tile_path(level, index + number, len(some))] = join(some)
    return parts[len(parts) - len(parts) % WIDTH :]


def _perfect_root(hashes: list[bytes]) -> bytes:
    """Return the hash over subtrees, whose number is a power of two."""
    while len(hashes) > 1:
        hashes = [*map(node_hash, hashes[::2], hashes[1::2])]
    return hashes[0]


def _perfect_subtrees(hashes: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the hashes of the largest perfect subtrees over these, from the left."""
    start = 0
    while left := len(hashes) - start:
        size = 1 << left.bit_length() - 1
        yield _perfect_root(list(hashes[start : start + size]))
        start += size
