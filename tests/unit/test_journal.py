"""The journal: chained, durable, continued after a restart, and without a hole where it could not write."""

import asyncio
import errno
import gc
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.waiting import until
from zerotrust.audit.journal import MAX_RIDERS, PAUSE, SLOW, Journal
from zerotrust.audit.record import MAX_LINE
from zerotrust.audit.segments import JournalError
from zt.audit.journals import first_bad_record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "party" / "journal.jsonl"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal(path)
    yield journal
    if journal._writer.is_alive():
        journal.close()


async def filled(path: Path, count: int = 5) -> list[bytes]:
    """A closed journal with so many records; its lines."""
    journal = Journal(path)
    for number in range(count):
        await journal.append(orjson.dumps({"what": f"record {number + 1}"}))
    journal.close()
    return path.read_bytes().splitlines(keepends=True)


def records(path: Path) -> list[dict[str, Any]]:
    """The records of a journal, each with what its event says."""
    found = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    return [record | record.pop("event") for record in found]


def files_open() -> int:
    """How many files this process holds open."""
    return len(list(Path("/dev/fd").iterdir()))


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The thread of each commit, by name."""
    found: list[str] = []
    sync = os.fdatasync

    def noted(fd: int) -> None:
        found.append(threading.current_thread().name)
        sync(fd)

    monkeypatch.setattr("zerotrust.audit.segments.os.fdatasync", noted)
    return found


HERE = threading.main_thread().name


async def test_a_quick_disk_has_all_records_of_a_turn_in_one_commit_of_the_loop(
    journal: Journal, path: Path, threads: list[str], always_quick: None
) -> None:
    for turn in (0, 10):
        await asyncio.gather(*(journal.append(b'{"number":%d}' % number) for number in range(turn, turn + 10)))

    assert threads == [HERE, HERE]
    assert [record["number"] for record in records(path)] == list(range(20))


@pytest.fixture
def always_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No commit is too slow, however busy this machine is."""
    monkeypatch.setattr("zerotrust.audit.journal.SLOW", float("inf"))


async def test_after_a_slow_commit_a_thread_makes_them_for_a_while(
    journal: Journal, path: Path, threads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("zerotrust.audit.journal.time.monotonic", lambda: now[0])
    sync = os.fdatasync

    def slow(fd: int) -> None:
        sync(fd)
        now[0] += 2 * SLOW

    monkeypatch.setattr("zerotrust.audit.segments.os.fdatasync", slow)
    for _ in range(2):
        await journal.append(b"{}")
    now[0] += PAUSE
    await journal.append(b"{}")

    assert threads == [HERE, "journal", HERE]


async def test_what_the_thread_is_about_to_commit_stays_in_front_of_what_comes_later(
    journal: Journal, path: Path, threads: list[str], always_quick: None
) -> None:
    with journal._committing:  # as the thread holds it
        first = journal.append(b'{"number":0}')
        await asyncio.sleep(0)
        second = journal.append(b'{"number":1}')
        await asyncio.sleep(0)
    await asyncio.gather(first, second)

    assert set(threads) == {"journal"}
    assert [record["number"] for record in records(path)] == [0, 1]


@pytest.mark.parametrize("torn", [b"", b'{"n":3,"pre', b"{", b"\0\0\0", b'{"n":3,"prev":"x"}'])
async def test_a_restart_goes_on_where_the_chain_ended_and_half_a_record_at_the_end_is_cut_off(
    path: Path, torn: bytes
) -> None:
    await filled(path, 2)
    with path.open("ab") as file:
        file.write(torn)

    await filled(path, 1)

    assert [(r["n"], r["what"]) for r in records(path)] == [(1, "record 1"), (2, "record 2"), (3, "record 1")]
    assert first_bad_record(path) == 0


def change(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b"record 2", b"record X"), *lines[2:]]


def rewritten(lines: list[bytes]) -> list[bytes]:
    """A record is rewritten together with its number; it does not fit its successor."""
    forged = orjson.loads(lines[2]) | {"event": {"what": "nothing happened"}}
    return [*lines[:2], orjson.dumps(forged) + b"\n", *lines[3:]]


@pytest.mark.parametrize(
    ("tamper", "bad"),
    [
        pytest.param(change, 2, id="changed"),
        pytest.param(lambda lines: [lines[0].replace(b"record 1", b"record X"), *lines[1:]], 1, id="first changed"),
        pytest.param(lambda lines: [lines[0].replace(b"000", b"001", 1), *lines[1:]], 1, id="first chained elsewhere"),
        pytest.param(lambda lines: [lines[0], *lines[2:]], 2, id="removed"),
        pytest.param(rewritten, 3, id="rewritten"),
        pytest.param(lambda lines: lines[1:], 1, id="first removed"),
        pytest.param(lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], 2, id="reordered"),
        pytest.param(lambda lines: [*lines[:2], lines[1], *lines[2:]], 3, id="repeated"),
        pytest.param(lambda lines: [*lines[:2], b"garbage\n", *lines[2:]], 3, id="garbage"),
        pytest.param(lambda lines: [*lines[:2], b"\n", *lines[2:]], 3, id="an empty line"),
        pytest.param(lambda lines: [*lines[:2], b"[]\n", *lines[2:]], 3, id="no object"),
        pytest.param(lambda lines: [*lines[:2], b"{}\n", *lines[2:]], 3, id="no record"),
    ],
)
async def test_a_record_that_is_not_what_it_was_is_named_and_nobody_goes_on_after_it(
    path: Path, tamper: Callable[[list[bytes]], list[bytes]], bad: int
) -> None:
    before = b"".join(tamper(await filled(path)))
    path.write_bytes(before)

    assert first_bad_record(path) == bad
    with pytest.raises(JournalError, match=f"record {bad} "):
        Journal(path)
    assert path.read_bytes() == before


async def test_a_second_writer_is_refused(journal: Journal, path: Path) -> None:
    before = files_open()
    with pytest.raises(JournalError, match="another process"):
        Journal(path)
    assert files_open() == before

    await journal.append(orjson.dumps({"what": "the first goes on"}))
    assert len(records(path)) == 1


async def test_what_found_no_room_was_never_part_of_the_chain_which_goes_on_when_there_is_room_with_what_rides(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await journal.append(orjson.dumps({"what": "written"}))
    journal.append_lazily(b'{"what":"outcome 1"}')
    journal.append_lazily(b'{"what":"outcome 2"}')
    write = os.write
    for full in (_full, lambda fd, data: write(fd, data[:10])):  # nothing fits, or a part of it
        monkeypatch.setattr("zerotrust.audit.segments.os.write", full)
        with pytest.raises(JournalError, match="cannot be written: "):
            await asyncio.wait_for(journal.append(orjson.dumps({"what": "lost"})), 5)
        monkeypatch.undo()
    await journal.append(orjson.dumps({"what": "after"}))

    assert [record["what"] for record in records(path)] == ["written", "outcome 1", "outcome 2", "after"]
    assert first_bad_record(path) == 0


@pytest.mark.parametrize("failing", ["fdatasync", "ftruncate"])
async def test_an_end_that_nobody_knows_is_gone_on_with_after_a_restart_only(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    await journal.append(orjson.dumps({"what": "written"}))
    if failing == "ftruncate":
        write = os.write
        monkeypatch.setattr("zerotrust.audit.segments.os.write", lambda fd, data: write(fd, data[:10]))
    monkeypatch.setattr(f"zerotrust.audit.segments.os.{failing}", _full)
    with pytest.raises(JournalError, match="until a restart"):
        await asyncio.wait_for(journal.append(orjson.dumps({"what": "who knows"})), 5)
    monkeypatch.undo()

    with pytest.raises(JournalError, match="until a restart"):
        await asyncio.wait_for(journal.append(orjson.dumps({"what": "after"})), 5)
    journal.close()
    await filled(path, 1)
    assert "after" not in path.read_text()
    assert first_bad_record(path) == 0


def _full(*_: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_a_record_that_no_log_would_take_leaves_no_hole(journal: Journal, path: Path) -> None:
    with pytest.raises(JournalError, match="too large"):
        await journal.append(orjson.dumps({"what": "x" * MAX_LINE}))
    await journal.append(orjson.dumps({"what": "x" * (MAX_LINE - 200)}))

    assert [record["n"] for record in records(path)] == [1]
    assert len(path.read_bytes()) <= MAX_LINE
    assert first_bad_record(path) == 0


@pytest.mark.parametrize("asked", [0, 100])
@pytest.mark.parametrize("end", [Journal.close, Journal.flush])
async def test_what_waits_and_what_rides_is_written_when_the_process_is_about_to_end(
    journal: Journal, path: Path, end: Callable[[Journal], None], asked: int
) -> None:
    waiting = [journal.append(orjson.dumps({"what": number})) for number in range(asked)]
    journal.append_lazily(b'{"what":"outcome"}')
    end(journal)

    assert [record["what"] for record in records(path)] == ["outcome", *range(asked)]
    assert (await asyncio.gather(*waiting))[-1:] == [journal.link][:asked]


async def test_after_it_was_closed_nothing_is_acknowledged_and_nobody_waits_forever(journal: Journal) -> None:
    journal.close()

    with pytest.raises(JournalError, match="closed"):
        await asyncio.wait_for(journal.append(orjson.dumps({"what": "too late"})), 5)


async def test_a_failure_that_nobody_waits_for_any_more_makes_no_noise(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("zerotrust.audit.segments.os.write", _full)
    journal.append(orjson.dumps({"what": "asked for by somebody who left"}))
    for _ in range(2):  # the first is forgotten then
        with pytest.raises(JournalError):
            await asyncio.wait_for(journal.append(orjson.dumps({})), 5)
    gc.collect()

    assert caplog.messages == []


async def test_a_process_ends_without_closing_its_journal_which_only_the_party_may_read(
    journal: Journal, path: Path
) -> None:
    assert journal._writer.daemon
    assert path.stat().st_mode & 0o077 == 0


# what nobody waits for


def timers(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What the loop was asked to do later, for a test to do when it likes."""
    asked: list[Callable[[], None]] = []
    later = lambda _seconds, call, *arguments: asked.append(partial(call, *arguments))  # noqa: E731
    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", later)
    return asked


async def test_what_rides_waits_while_others_come_and_then_gets_a_commit_of_its_own(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = timers(monkeypatch)
    journal.append_lazily(b'{"what":"outcome 1"}')
    await journal.append(b'{"what":"asked"}')
    journal.append_lazily(b'{"what":"outcome 2"}')
    assert len(asked) == 1

    asked.pop()()  # there was a commit meanwhile
    assert len(asked) == 1
    asked.pop()()  # there was none: it does not wait any longer
    assert asked == []

    monkeypatch.undo()
    await until(lambda: len(records(path)) == 3)
    assert [record["what"] for record in records(path)] == ["outcome 1", "asked", "outcome 2"]


async def test_closing_commits_nothing_where_nothing_waits(journal: Journal, threads: list[str]) -> None:
    journal.close()

    assert threads == []


async def test_where_what_rides_cannot_be_written_the_next_is_refused(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = timers(monkeypatch)
    failed = threading.Event()

    def broken(_fd: int) -> None:
        failed.set()
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("zerotrust.audit.segments.os.fdatasync", broken)
    journal.append_lazily(b'{"what":"outcome"}')
    asked.pop()()
    await asyncio.to_thread(failed.wait, 30)
    monkeypatch.undo()

    with pytest.raises(JournalError, match="until a restart"):
        await asyncio.wait_for(journal.append(b'{"what":"next"}'), 30)


async def test_what_rides_is_bounded_and_the_oldest_go_first(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timers(monkeypatch)
    for number in range(MAX_RIDERS + 10):
        journal.append_lazily(b'{"number":%d}' % number)

    await journal.append(b"{}")

    assert [record.get("number") for record in records(path)] == [*range(10, MAX_RIDERS + 10), None]


# what is read
