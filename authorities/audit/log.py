"""The ledger's transparency log: it is on the disk before it is published, and has one history, whatever fails.

A batch goes through these steps, and each is durable before the next begins:

1. its tiles and entries, which no checkpoint names yet;
2. `pending`, the next checkpoint: from now on this batch is the next one, and no other;
3. the cosignatures of witnesses.  The registry keeps the checkpoint before it signs, and signs none that does not
   continue the last: this is the compare-and-swap outside the ledger's data;
4. `checkpoint`, with the cosignatures: now it is published.

Whatever fails in between is finished from the files alone, by the same steps after a restart as without one.  Where the
registry has cosigned another history, because a backup was restored or a second instance runs, the log stops.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from authorities.audit.files import Files
from authorities.audit.recent import Recent
from zerotrust.audit.forms import MICROSECONDS
from zerotrust.audit.record import Link
from zerotrust.authority.ledger.cosignature import Request
from zerotrust.authority.ledger.leaf import Heads, heads_leaf, leaf_of
from zerotrust.authority.ledger.note_key import NoteKey, load_key, new_key
from zerotrust.authority.log import tiles
from zerotrust.authority.log.proofs import consistency_proof
from zerotrust.errors import ZeroTrustError
from zerotrust.shielded import Shielding, shielded
from zerotrust.tlog.checkpoint import Checkpoint, check_signed, sign_checkpoint
from zerotrust.tlog.note import ED25519, MAX_NOTE, Note, Signature, VerifierKey
from zerotrust.tlog.tree import InvalidLog

T = TypeVar("T")

MAX_BATCH = 4_096
"""Lines of one batch: a start looks for left-over partial tiles among as many entries."""


class LogError(ZeroTrustError, OSError):
    """Nothing can be published now; the text says why."""


class OtherHistory(LogError):
    """A witness has cosigned another history than the one on the disk: only an operator can decide which is right."""


@dataclass(frozen=True, slots=True)
class Growth:
    """A checkpoint that witnesses are asked to cosign."""

    note: Note
    """The checkpoint as the log signed it."""
    checkpoint: Checkpoint
    before: int
    """The size of the published checkpoint, which a witness has cosigned last unless it missed some."""
    key: VerifierKey
    """The log's key."""
    files: Files

    def since(self, old: int) -> Request:
        """Return the request for a witness that cosigned this size last.  Blocks.  Raises `OSError`, `InvalidLog`."""
        node = tiles.node_reader(self.files.read, self.checkpoint.size)
        return Request(old, tuple(consistency_proof(old, self.checkpoint.size, node)), self.note)


Cosign = Callable[[Growth], Awaitable[Sequence[Signature]]]
"""Returns the signatures of witnesses, that of the registry first.  Raises `LogError` without the registry's."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """Where the log stands: everything that a start reads."""

    edge: tiles.Edge
    heads: Heads
    note: Note | None

    @property
    def text(self) -> str | None:
        return self.note.text if self.note else None


_NOTHING = _Standing(tiles.Edge(), Heads({}, 0), None)


class Log(Shielding):
    """The log in a folder, written by one process."""

    def __init__(self, files: Files, origin: str, cosign: Cosign, clock: Callable[[], float]) -> None:
        """Use `open`."""
        super().__init__()
        self._files, self._origin, self._cosign, self._clock = files, origin, cosign, clock
        self._turn = asyncio.Lock()
        self._published = self._next = _NOTHING
        self._finished, self._recent = False, Recent()
        self._key: NoteKey

    @classmethod
    async def open(cls, folder: Path, origin: str, cosign: Cosign, *, clock: Callable[[], float] = time.time) -> "Log":
        """Open the log in a folder, or begin one.  It reads the same few files however long the log is.

        `origin`: the name of the log; `clock`: seconds since the epoch.  `finish` comes first, then `add`.
        Raises `LogError` if another process has it, or its files are not those that it wrote.
        """
        try:
            files = await asyncio.to_thread(Files, folder)
        except BlockingIOError as error:
            raise LogError(f"{folder}: another process writes this log") from error
        except OSError as error:
            raise LogError(f"{folder}: {error}") from error
        log = cls(files, origin, cosign, clock)
        try:
            await log.load()
        except LogError:
            files.close()
            raise
        return log

    @property
    def size(self) -> int:
        return self._published.edge.size

    @property
    def heads(self) -> Mapping[str, Link]:
        """Where each journal stands in the published checkpoint, by the SPIFFE ID of its service."""
        return self._published.heads.journals

    @property
    def note(self) -> Note | None:
        """The published checkpoint with its signatures; none before the first."""
        return self._published.note

    def first(self, leaf: int) -> Note | None:
        """Return the first checkpoint with a leaf, of those that are known; None if it is not published."""
        return self._recent.first(leaf)

    @property
    def key(self) -> VerifierKey:
        return self._key.public

    def read(self, name: str) -> bytes:
        """Return a file of the log, by its path in it.  Blocks.  Raises `OSError` and `InvalidLog`."""
        return self._files.read(name)

    @shielded
    async def finish(self) -> None:
        """Publish what was begun, and have the registry confirm that it knows no other history.

        It comes before the first `add`, and after each that failed.  Raises `LogError`: then try again later; and
        `OtherHistory`, which does not pass.
        """
        async with self._turn:
            if self._finished:
                return
            await self.load()
            if self._next.note and self._next.edge.size > self.size:
                await _in_thread(partial(self._files.pend, self._next.note))  # its name may not be on the disk yet
            await self._publish()
            self._finished = True

    @shielded
    async def add(self, lines: Sequence[bytes], heads: Mapping[str, Link]) -> None:
        """Add lines, and a leaf with the heads of all journals as they are then; return when they are published.

        Raises `LogError`.  Whether the lines are in the log is known after `finish`, by the heads.
        """
        if not 1 <= len(lines) <= MAX_BATCH:
            raise LogError(f"a batch has 1 to {MAX_BATCH} lines, not {len(lines)}")
        async with self._turn:
            if not self._finished:
                raise LogError("what was begun has to be finished first")
            self._finished = False  # until all of this is done
            self._next = await _in_thread(partial(self._begin_batch, lines, heads))
            await self._publish()
            self._finished = True

    async def close(self) -> None:
        await self.wait_until_done()
        self._files.close()

    def _begin_batch(self, lines: Sequence[bytes], heads: Mapping[str, Link]) -> _Standing:
        """Return where the log stands with this batch, when its files and its checkpoint are on the disk."""
        new = Heads(dict(heads), int(self._clock() * MICROSECONDS))
        edge, files = tiles.append_entries(self._next.edge, [*lines, heads_leaf(new)])
        self._files.add(files)
        self._files.pend(note := self._sign(edge))
        return _Standing(edge, new, note)

    async def _publish(self) -> None:
        """Have the next checkpoint cosigned, and publish it unless it is published."""
        edge = self._next.edge
        note = self._next.note or self._sign(edge)  # of an empty log, the registry confirms that it is empty
        cosigned = await self._cosign(Growth(note, self._checkpoint(edge), self.size, self.key, self._files))
        if edge.size > self.size:
            published = _with_cosignatures(note, cosigned)
            await _in_thread(partial(self._files.publish, published))
            self._published = _Standing(edge, self._next.heads, published)
            self._recent.add(edge.size, published, time.monotonic())
        await asyncio.to_thread(self._files.prune, edge.size, MAX_BATCH)

    def _checkpoint(self, edge: tiles.Edge) -> Checkpoint:
        return Checkpoint(self._origin, edge.size, edge.root)

    def _sign(self, edge: tiles.Edge) -> Note:
        return sign_checkpoint(self._checkpoint(edge), self.key, self._key.private)

    async def load(self) -> None:
        """Read where the log stands, from its last files, as `open` and `finish` do.  Raises `LogError`."""
        try:
            self._key, self._published, self._next = await asyncio.to_thread(self._read_stored)
            if self.note and not self.first(self.size - 1):
                self._recent.add(self.size, self.note, time.monotonic())
        except (OSError, ValueError) as error:
            raise LogError(f"the log cannot be read: {error}") from error

    def _read_stored(self) -> tuple[NoteKey, _Standing, _Standing]:
        """Return the key, where the published log stands, and where the next checkpoint does."""
        published, pending = self._files.checkpoints()
        file = self._files.key
        key = (load_key if published or pending or file.exists() else new_key)(file, self._origin, ED25519)
        there = self._standing(published, key.public)
        after = self._standing(pending, key.public) if pending and pending.text != there.text else there
        if after.edge.size < there.edge.size or (after is not there and after.edge.size == there.edge.size):
            raise InvalidLog("the next checkpoint is not later than the published one")
        return key, there, after

    def _standing(self, note: Note | None, key: VerifierKey) -> _Standing:
        if not note:
            return _NOTHING
        checkpoint = check_signed(note, key)
        edge = tiles.restore_edge(self._files.read, checkpoint.size)
        if edge.root != checkpoint.root:  # control: log-as-signed
            raise InvalidLog(f"its files are not those of the checkpoint of {checkpoint.size} entries")
        if not (last := edge.bundle):
            bundle = self._files.read(tiles.tile_path("entries", checkpoint.size // tiles.WIDTH - 1))
            last = tuple(tiles.decode_bundle(bundle, tiles.WIDTH))
        if not isinstance(heads := leaf_of(last[-1]), Heads):
            raise InvalidLog("its last entry is not the heads of the journals")
        return _Standing(edge, heads, note)


def _with_cosignatures(note: Note, cosigned: Sequence[Signature]) -> Note:
    """Return a checkpoint with its cosignatures: the registry's alone if all of them are too long for readers."""
    whole = Note(note.text, (*note.signatures, *cosigned))
    if len(str(whole).encode()) > MAX_NOTE:  # control: checkpoint-has-room
        return Note(note.text, (*note.signatures, *cosigned[:1]))
    return whole


async def _in_thread(write: Callable[[], T]) -> T:
    """Write in a thread.  Raises `LogError`."""
    try:
        return await asyncio.to_thread(write)
    except (OSError, InvalidLog) as error:
        raise LogError(f"the log cannot be written: {error}") from error
