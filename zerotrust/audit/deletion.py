"""Deletes the segments of a journal that the audit log has.  The ledger has to prove that; its word is not enough.

The proof is for the last record of a segment, which names all before it by their hashes.  The log and its witnesses
signed its checkpoint, which continues that of the proof before.  If a ledger publishes that record without the others,
every reader finds the gap, and the log is at fault.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import orjson

from zerotrust.audit.chain import closed_segments, first_number, last_line
from zerotrust.audit.log_client import Ledger, NotDelivered
from zerotrust.audit.record import link_of
from zerotrust.durable import sync_folder, write_file
from zerotrust.errors import ZeroTrustError
from zerotrust.tlog.checkpoint import Checkpoint, checkpoint_of
from zerotrust.tlog.note import parse_note
from zerotrust.tlog.quorum import TrustPolicy, policy
from zerotrust.tlog.tree import EMPTY, InvalidLog, check_consistency

KEPT = 4
"""Closed segments that stay although the log has them: 64 MiB, to read without the log."""
AGAIN = 60.0
"""Seconds from a proof that failed to the next request for one."""
SEEN = "audit.seen"
"""The file beside a journal with the policy of the log, and the checkpoint of the last proof."""


class NotProven(ZeroTrustError):
    """A segment stays; the text says why."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """The policy of the log, which is never replaced, and the last checkpoint that this party saw."""

    policy: str
    checkpoint: str | None = None

    @property
    def trust(self) -> TrustPolicy:
        return policy(self.policy)

    def last(self, origin: str) -> Checkpoint:
        """Return the checkpoint of the last proof, whose signatures were verified."""
        note = parse_note(self.checkpoint.encode()) if self.checkpoint else None
        return checkpoint_of(note) if note else Checkpoint(origin, 0, EMPTY)


class Deletion:
    """Deletes the segments of one journal."""

    def __init__(
        self,
        path: Path,
        ledger: Ledger,
        published: Callable[[], Awaitable[str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`path`: of the newest segment; `published`: asks the registry for the policy of the log; `clock`: seconds."""
        self._path, self._ledger, self._published, self._clock = path, ledger, published, clock
        self._file, self._not_before = path.with_name(SEEN), 0.0

    def due(self, delivered: int) -> list[Path]:
        """Return the closed segments whose records were all delivered, except the newest `KEPT`.  Blocks."""
        if self._clock() < self._not_before:
            return []
        of_age = closed_segments(self._path)[: 1 - KEPT]
        return [segment for segment, next_one in pairwise(of_age) if first_number(next_one) - 1 <= delivered]

    async def delete(self, segment: Path) -> None:
        """Delete a segment, if the log has it.  Raises `NotProven`, and then nothing is due for `AGAIN` seconds."""
        try:
            await self._check(segment)
            await asyncio.to_thread(segment.unlink)
        except (NotDelivered, InvalidLog, ValueError, LookupError, OSError) as error:
            self._not_before = self._clock() + AGAIN
            raise NotProven(f"{segment} is not deleted: {error}") from error

    async def _check(self, segment: Path) -> None:
        """Raise an error unless the log has this segment, and continues the last checkpoint seen."""
        seen = await asyncio.to_thread(self._read) or _Seen(await self._published())
        line, trust = await asyncio.to_thread(last_line, segment), seen.trust
        last = seen.last(trust.logs[0].name)
        found = await self._ledger.proof(link_of(line).records, last.size)
        checkpoint, _ = found.proof.check(line, trust)  # control: deleted-when-proven
        # control: deleted-log-continues
        check_consistency(last.size, last.root, checkpoint.size, checkpoint.root, found.grown)
        kept = orjson.dumps(_Seen(seen.policy, str(found.proof.checkpoint)))
        await asyncio.to_thread(write_file, self._file, kept)
        await asyncio.to_thread(sync_folder, self._file.parent)

    def _read(self) -> _Seen | None:
        try:
            return _Seen(**orjson.loads(self._file.read_bytes()))
        except FileNotFoundError:
            return None
        except (TypeError, ValueError) as error:
            raise InvalidLog(f"{self._file} is not what this program wrote: remove it") from error
