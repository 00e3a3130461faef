"""A long journal: full segments are closed, one chain leads through all of them, and a start reads the newest alone.

It is read from one record on while it is written, closed and handed over; and it may begin later.
"""

import asyncio
import errno
import gc
import os
import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from tests.support.proving import delete
from tests.support.waiting import until
from zerotrust.audit import segments as module
from zerotrust.audit import tail
from zerotrust.audit.chain import closed_segments, lines, link_before_oldest
from zerotrust.audit.journal import Journal
from zerotrust.audit.record import GENESIS, MAX_LINE, link_of
from zerotrust.audit.segments import JournalError, Segments
from zerotrust.audit.tail import RecordGone, Tail
from zerotrust.durable import sync_folder
from zt.audit.journals import first_bad_record


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments that a few records fill."""
    monkeypatch.setattr(module, "SEGMENT", 500)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def opened() -> int:
    """How many files this process has open."""
    return len([*Path("/proc/self/fd").iterdir()])


async def written(path: Path, first: int, count: int) -> None:
    """A journal that is opened, gets records with these numbers, each in a commit of its own, and is closed."""
    before = opened()
    journal = Journal(path)
    try:
        for number in range(first, first + count):
            await journal.append(b'{"record":%d}' % number)
    finally:
        journal.close()
    assert opened() == before


def numbers_of(found: Iterable[bytes]) -> list[int]:
    return [orjson.loads(line)["event"]["record"] for line in found]


def numbers(path: Path) -> list[int]:
    return numbers_of(lines(path))


async def test_one_chain_leads_through_all_segments_and_restarts(path: Path) -> None:
    path.with_name(f"{path.name}.new").write_bytes(b"a segment that a crash has left")
    await written(path, 1, 20)
    await written(path, 21, 20)

    assert len(closed_segments(path)) >= 5
    assert all(segment.stat().st_size < 700 for segment in [*closed_segments(path), path])
    assert numbers(path) == [*range(1, 41)]
    assert first_bad_record(path) == 0


async def test_a_start_reads_the_newest_segment_and_the_last_line_before_it(path: Path) -> None:
    await written(path, 1, 30)
    for segment in closed_segments(path):
        *others, last = segment.read_bytes().splitlines(keepends=True)
        segment.write_bytes(b"".join(b"x" * (len(line) - 1) + b"\n" for line in others) + last)

    await written(path, 31, 5)

    assert first_bad_record(path) == 1  # whoever reads all of it sees the change


async def test_an_older_segment_without_a_record_at_its_end_is_not_gone_on_from(path: Path) -> None:
    await written(path, 1, 40)
    *_, last = closed_segments(path)
    last.write_bytes(b"garbage\n")

    with pytest.raises(JournalError, match="does not end with a record"):
        Journal(path)


class Stopped(BaseException):
    """The process ends here."""


TRIED_AGAIN = "open", "link", "sync", "rename"
"""The steps of closing a segment after whose failure the segment goes on."""


def failing(monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException) -> None:
    """Have one step of closing a segment fail."""

    def fail(*_: object, **__: object) -> None:
        raise error

    seen = iter(("sync", "sync again"))

    def sync(folder: Path) -> None:
        if next(seen, "") == step:
            raise error
        sync_folder(folder)

    if step == "open":
        monkeypatch.setattr(module, "_open_locked", fail)
    if step == "link":
        monkeypatch.setattr(os, "link", fail)
    if step == "rename":
        monkeypatch.setattr(Path, "rename", fail)
    monkeypatch.setattr(module, "sync_folder", sync)


@pytest.fixture
async def full(path: Path) -> AsyncIterator[Journal]:
    """A journal whose next commit closes its segment."""
    journal = Journal(path)
    number = 0
    while path.stat().st_size < 500:
        number += 1
        await journal.append(b'{"record":%d}' % number)
    yield journal
    if journal._writer.is_alive():
        journal.close()


@pytest.mark.parametrize("step", [*TRIED_AGAIN, "sync again"])
async def test_a_process_that_ends_while_it_closes_a_segment_loses_nothing(
    full: Journal, path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    count = len(numbers(path))
    full.close()
    stopped = Journal(path)
    with monkeypatch.context() as patch:
        failing(patch, step, Stopped())
        with pytest.raises(Stopped):
            stopped._segments._rotate()
    stopped.close()

    await written(path, count + 1, 10)

    assert numbers(path) == [*range(1, count + 11)]
    assert first_bad_record(path) == 0


async def test_a_file_that_has_the_name_of_a_closed_segment_displaces_none(
    full: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is it in the way of the next record, as little as a file that cannot be opened; and no file stays open."""
    count, before = len(numbers(path)), opened()
    with monkeypatch.context() as patch:
        failing(patch, "open", OSError())
        full._segments._rotate()
    (other := path.with_name("journal.jsonl.0000000000000001")).write_bytes(b"")
    await full.append(b'{"record":%d}' % (count + 1))
    assert opened() == before
    full.close()
    other.unlink()

    assert numbers(path) == [*range(1, count + 2)]


async def test_a_writer_that_opened_a_segment_just_before_it_was_closed_is_refused(
    full: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets the lock of a file that is the newest segment no more."""
    plain = os.open

    def slowly(file: Path, *more: int) -> int:
        fd = plain(file, *more)
        monkeypatch.undo()
        monkeypatch.setattr(module, "SEGMENT", 1)
        full._segments._rotate()
        return fd

    monkeypatch.setattr(os, "open", slowly)
    with pytest.raises(JournalError, match="another process"):
        Journal(path)


def test_what_a_start_finds_is_on_the_disk_before_it_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Segments(path).close()
    happened = list[str]()
    monkeypatch.setattr(os, "ftruncate", lambda _fd, _size: happened.append("cut"))
    monkeypatch.setattr(os, "fdatasync", lambda _fd: happened.append("synced"))

    Segments(path).close()

    assert happened == ["cut", "synced"]


def test_a_start_that_fails_keeps_nobody_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_folder: Path) -> None:
        raise OSError(errno.EIO, "no disk")

    with monkeypatch.context() as broken:
        broken.setattr(module, "sync_folder", fail)
        with pytest.raises(JournalError, match="no disk"):
            Segments(path)

    Segments(path).close()


# read from one record on


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[Journal]:
    opened = Journal(path)
    yield opened
    opened.close()


async def write(journal: Journal, count: int) -> None:
    """Records with their own numbers, each in a commit of its own."""
    for number in range(journal.link.records + 1, journal.link.records + count + 1):
        await journal.append(b'{"record":%d}' % number)


@pytest.mark.parametrize("after", [0, 1, 5, 16, 29, 30])
async def test_it_begins_after_any_record(journal: Journal, path: Path, after: int) -> None:
    await write(journal, 30)

    with closing(Tail(path, after)) as reader:
        assert numbers_of(reader.read(30)) == [*range(after + 1, 31)]


async def test_what_is_not_on_the_disk_yet_is_not_read(journal: Journal, path: Path) -> None:
    await write(journal, 3)
    reader = Tail(path, 0)

    assert numbers_of(reader.read(2)) == [1, 2]
    with path.open("ab") as torn:
        torn.write(b'{"event":{"record":4')
    assert numbers_of(reader.read(3)) == [3]
    with pytest.raises(RecordGone, match="no record 4"):
        reader.read(4)


@pytest.mark.parametrize(("bound", "most"), [("MOST_LINES", 3), ("MOST_BYTES", 400)])
async def test_as_much_as_fits_is_read_at_once(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    monkeypatch.setattr(tail, bound, most)
    await write(journal, 10)
    reader, parts = Tail(path, 0), list[list[bytes]]()
    while part := reader.read(10):
        parts.append(part)
    reader.close()

    assert numbers_of([line for part in parts for line in part]) == [*range(1, 11)]
    assert all(len(part) == 3 for part in parts[:-1])
    assert all(sum(len(line) + 1 for line in part) <= 400 for part in parts) or bound == "MOST_LINES"


async def test_the_bounds_let_the_longest_record_through() -> None:
    assert tail.MOST_BYTES > MAX_LINE


async def test_a_journal_that_begins_later_is_checked_from_there_on_and_goes_on(journal: Journal, path: Path) -> None:
    await write(journal, 60)
    whole = [*lines(path)]
    await delete(path, 60)
    await write(journal, 20)

    first = numbers_of([*lines(path)])[0]
    assert link_before_oldest(path) == link_of(whole[first - 2])
    assert first_bad_record(path) == 0
    with pytest.raises(RecordGone, match=f"no longer has record {first - 1}"):
        Tail(path, first - 2).read(60)
    with closing(Tail(path, first - 1)) as reader:
        assert numbers_of(reader.read(80)) == [*range(first, 81)]

    changed = closed_segments(path)[1]
    changed.write_bytes(changed.read_bytes().replace(b'"record":', b'"Record":', 1))
    assert first_bad_record(path) == int(changed.suffix[1:])


async def test_a_journal_whose_first_segment_has_another_name_or_number_is_not_believed(
    journal: Journal, path: Path
) -> None:
    assert link_before_oldest(path) == GENESIS
    await write(journal, 30)
    assert link_before_oldest(path) == GENESIS
    oldest = closed_segments(path)[0]
    oldest.write_bytes(oldest.read_bytes().replace(b'"n":1,', b'"n":9,', 1))

    with pytest.raises(ValueError, match="does not begin with its record"):
        link_before_oldest(path)
    assert first_bad_record(path) == 1


async def test_a_commit_wakes_once_whoever_waits_for_it(journal: Journal) -> None:
    woken = list[int]()
    journal.on_commit(lambda: woken.append(journal.link.records))
    assert woken == []
    await write(journal, 3)

    assert woken == [1]


@pytest.mark.parametrize("times", [1, 2])
async def test_a_caller_that_is_cancelled_waits_for_the_thread_that_reads_for_it(tmp_path: Path, times: int) -> None:
    """Otherwise that thread opens a file after `close`; and so it does if the caller is cancelled while it waits."""
    begun, may_end = threading.Event(), threading.Event()

    class Slow(Tail):
        def read(self, last: int) -> list[bytes]:  # noqa: ARG002 - as in `Tail`
            begun.set()
            assert may_end.wait(60)
            self._file = (tmp_path / "opened").open("wb")
            raise RecordGone

    untold, loop, tail = [], asyncio.get_running_loop(), Slow(tmp_path / "journal.jsonl", 0)
    loop.set_exception_handler(lambda _, context: untold.append(context))
    reading = asyncio.create_task(tail.lines(1))
    await asyncio.to_thread(begun.wait)
    for _ in range(times):
        reading.cancel()
        done, _ = await asyncio.wait([reading], timeout=0.05)
    may_end.set()

    assert bool(done) == (times == 2)
    with pytest.raises(asyncio.CancelledError):
        await reading
    await until(lambda: (tmp_path / "opened").exists() and not tail._file)
    del reading
    gc.collect()
    assert not untold
