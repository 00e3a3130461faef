"""Reads a journal from one record on, while it is written and its segments are closed."""

import asyncio
from pathlib import Path
from typing import IO

from zerotrust.audit.chain import closed_segments_before, first_number, link_at_end
from zerotrust.audit.record import GENESIS, MAX_LINE
from zerotrust.errors import ZeroTrustError

MOST_LINES = 1_000
"""Lines that are read at once: so many go to the audit log in one request."""
MOST_BYTES = 2 * 1024 * 1024
"""Bytes of these, each with its newline: the longest request that the audit log takes."""


class RecordGone(ZeroTrustError, ValueError):
    """The journal no longer has a record, or never had it."""


class Tail:
    """The lines of one journal, in order, each once."""

    def __init__(self, path: Path, after: int) -> None:
        """`after`: the number of the record before the first one to read; 0 to read all."""
        self._path, self._next = path, max(after, 0) + 1
        self._file: IO[bytes] | None = None
        self._held = b""

    def read(self, last: int) -> list[bytes]:
        """Return the next lines, without their newlines: at most up to the record `last`, which is on the disk.

        Blocks.  Raises `RecordGone`, and `OSError`.
        """
        found: list[bytes] = []
        left = MOST_BYTES
        while self._next <= last and len(found) < MOST_LINES:
            self._held = self._held or self._line()
            left -= len(self._held)
            if left < 0:
                break
            found.append(self._held.removesuffix(b"\n"))
            self._held, self._next = b"", self._next + 1
        return found

    async def lines(self, last: int) -> list[bytes]:
        """Return what `read` returns, read by a thread.

        If the caller is cancelled, it waits for that thread.  If it is cancelled once more, it leaves the thread, which
        may open a file after `close`; that file is closed when the thread ends.
        """
        reading = asyncio.get_running_loop().run_in_executor(None, self.read, last)
        try:
            return await asyncio.shield(reading)
        except asyncio.CancelledError:
            reading.add_done_callback(lambda _: self.close())
            reading.add_done_callback(asyncio.Future.exception)  # marks it as retrieved
            await asyncio.wait([reading])
            raise

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def _line(self) -> bytes:
        """Return the next line with its newline, which may be the first one of the next segment."""
        for _ in range(2):
            file = self._file = self._file or self._open()
            if (line := file.readline(MAX_LINE + 1)).endswith(b"\n"):
                return line
            self.close()
        raise RecordGone(f"{self._path} has no record {self._next}")

    def _open(self) -> IO[bytes]:
        """Open the segment with the next record, and read up to that."""
        file, first = self._segment()
        for _ in range(first, self._next):
            file.readline(MAX_LINE + 1)
        return file

    def _segment(self) -> tuple[IO[bytes], int]:
        """Return the opened segment with the next record, and the number of its first record."""
        newest = self._path.open("rb")  # before the listing, which has it too if it is closed now
        older = closed_segments_before(self._path, newest)
        first = (link_at_end(older[-1]) if older else GENESIS).records + 1
        if self._next >= first:
            return newest, first
        newest.close()
        holding = [segment for segment in older if first_number(segment) <= self._next]
        if not holding:
            raise RecordGone(f"{self._path} no longer has record {self._next}")
        return holding[-1].open("rb"), first_number(holding[-1])
