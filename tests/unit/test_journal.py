"""The journal: chained, durable, continued after a restart, and without a hole where it could not write."""

import asyncio
import errno
import gc
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from zerotrust.audit.journal import GENESIS, Journal, JournalError, first_bad_record, records


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
        await journal.append({"what": f"record {number + 1}"})
    journal.close()
    return path.read_bytes().splitlines(keepends=True)


def files_open() -> int:
    """How many files this process holds open."""
    return len(list(Path("/dev/fd").iterdir()))


async def test_each_record_names_the_hash_of_the_one_before(path: Path) -> None:
    await filled(path, 3)
    first, second, third = records(path)

    assert [r["n"] for r in (first, second, third)] == [1, 2, 3]
    assert first["prev"] == GENESIS
    assert len({first["prev"], second["prev"], third["prev"]}) == 3
    assert first_bad_record(path) == 0


async def test_a_record_is_on_the_disk_when_its_future_is_done(journal: Journal, path: Path) -> None:
    await journal.append({"what": "this"})

    assert [record["what"] for record in records(path)] == ["this"]


async def test_many_records_that_wait_together_go_out_in_few_commits_and_in_order(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs, first_in, go_on, sync = [], threading.Event(), threading.Event(), os.fdatasync

    def slow_disk(fd: int) -> None:
        syncs.append(fd)
        first_in.set()
        go_on.wait(10)
        sync(fd)

    monkeypatch.setattr("zerotrust.audit.journal.os.fdatasync", slow_disk)
    first = journal.append({"number": 0})
    await asyncio.to_thread(first_in.wait, 10)
    rest = [journal.append({"number": number}) for number in range(1, 1000)]
    assert not first.done()
    go_on.set()
    await asyncio.gather(first, *rest)

    assert len(syncs) == 2
    assert [record["number"] for record in records(path)] == list(range(1000))
    assert first_bad_record(path) == 0


async def test_nothing_is_acknowledged_before_it_is_synced(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    write, sync = os.write, os.fdatasync

    def noted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            result = call(*arguments)
            order.append(name)
            return result

        return run

    monkeypatch.setattr("zerotrust.audit.journal.os.write", noted("written", write))
    monkeypatch.setattr("zerotrust.audit.journal.os.fdatasync", noted("synced", sync))
    await journal.append({})
    order.append("acknowledged")

    assert order == ["written", "synced", "acknowledged"]


async def test_a_restart_goes_on_where_the_chain_ended(path: Path) -> None:
    await filled(path, 2)
    await filled(path, 2)

    assert [record["n"] for record in records(path)] == [1, 2, 3, 4]
    assert first_bad_record(path) == 0


@pytest.mark.parametrize("torn", [b'{"n":3,"pre', b"{", b"\0\0\0", b'{"n":3,"prev":"x"}'])
async def test_half_a_record_at_the_end_is_cut_off(path: Path, torn: bytes) -> None:
    await filled(path, 2)
    with path.open("ab") as file:
        file.write(torn)

    await filled(path, 1)

    assert [(r["n"], r["what"]) for r in records(path)] == [(1, "record 1"), (2, "record 2"), (3, "record 1")]
    assert first_bad_record(path) == 0


def change(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b"record 2", b"record X"), *lines[2:]]


@pytest.mark.parametrize(
    ("tamper", "bad"),
    [
        pytest.param(change, 2, id="changed"),
        pytest.param(lambda lines: [lines[0].replace(b"record 1", b"record X"), *lines[1:]], 1, id="first changed"),
        pytest.param(lambda lines: [lines[0].replace(b"000", b"001", 1), *lines[1:]], 1, id="first chained elsewhere"),
        pytest.param(lambda lines: [lines[0], *lines[2:]], 2, id="removed"),
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


async def test_a_journal_that_was_put_right_is_gone_on_with(path: Path) -> None:
    lines = await filled(path)
    path.write_bytes(b"".join(change(lines)))
    with pytest.raises(JournalError):
        Journal(path)
    path.write_bytes(b"".join(lines))

    await filled(path, 1)  # nobody keeps it locked

    assert len(list(records(path))) == 6


async def test_a_record_rewritten_together_with_its_number_does_not_fit_its_successor(path: Path) -> None:
    lines = await filled(path)
    forged = orjson.loads(lines[2]) | {"what": "nothing happened"}
    path.write_bytes(b"".join([*lines[:2], orjson.dumps(forged) + b"\n", *lines[3:]]))

    assert first_bad_record(path) == 3


async def test_a_second_writer_is_refused(journal: Journal, path: Path) -> None:
    before = files_open()
    with pytest.raises(JournalError, match="another process"):
        Journal(path)
    assert files_open() == before

    await journal.append({"what": "the first goes on"})
    assert len(list(records(path))) == 1


async def test_what_found_no_room_was_never_part_of_the_chain_which_goes_on_when_there_is_room(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await journal.append({"what": "written"})
    write = os.write
    for full in (_full, lambda fd, data: write(fd, data[:10])):  # nothing fits, or a part of it
        monkeypatch.setattr("zerotrust.audit.journal.os.write", full)
        with pytest.raises(JournalError, match="cannot be written: "):
            await asyncio.wait_for(journal.append({"what": "lost"}), 5)
        monkeypatch.undo()
    await journal.append({"what": "after"})

    assert [(record["n"], record["what"]) for record in records(path)] == [(1, "written"), (2, "after")]
    assert first_bad_record(path) == 0


@pytest.mark.parametrize("failing", ["fdatasync", "ftruncate"])
async def test_an_end_that_nobody_knows_is_gone_on_with_after_a_restart_only(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    await journal.append({"what": "written"})
    if failing == "ftruncate":
        write = os.write
        monkeypatch.setattr("zerotrust.audit.journal.os.write", lambda fd, data: write(fd, data[:10]))
    monkeypatch.setattr(f"zerotrust.audit.journal.os.{failing}", _full)
    with pytest.raises(JournalError, match="until a restart"):
        await asyncio.wait_for(journal.append({"what": "who knows"}), 5)
    monkeypatch.undo()

    with pytest.raises(JournalError, match="until a restart"):
        await asyncio.wait_for(journal.append({"what": "after"}), 5)
    journal.close()
    await filled(path, 1)
    assert "after" not in path.read_text()
    assert first_bad_record(path) == 0


def _full(*_: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_what_cannot_be_put_into_a_record_leaves_no_hole(journal: Journal, path: Path) -> None:
    for unfit in ("\ud800", 2**70, object()):
        with pytest.raises(TypeError):
            journal.append({"what": unfit})
    await journal.append({"what": "this"})

    assert [record["n"] for record in records(path)] == [1]
    assert first_bad_record(path) == 0


async def test_closing_writes_what_waits(journal: Journal, path: Path) -> None:
    waiting = [journal.append({"number": number}) for number in range(100)]
    journal.close()

    assert len(list(records(path))) == 100
    await asyncio.gather(*waiting)


async def test_after_it_was_closed_nothing_is_acknowledged_and_nobody_waits_forever(journal: Journal) -> None:
    journal.close()

    with pytest.raises(JournalError, match="closed"):
        await asyncio.wait_for(journal.append({"what": "too late"}), 5)


async def test_who_leaves_before_the_record_is_written_disturbs_nobody(journal: Journal, path: Path) -> None:
    first, second = journal.append({"number": 1}), journal.append({"number": 2})
    first.cancel()
    await asyncio.wait_for(second, 5)

    assert len(list(records(path))) == 2


async def test_a_failure_that_nobody_waits_for_any_more_makes_no_noise(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("zerotrust.audit.journal.os.write", _full)
    journal.append({"what": "asked for by somebody who left"})
    for _ in range(2):  # the first is forgotten then
        with pytest.raises(JournalError):
            await asyncio.wait_for(journal.append({}), 5)
    gc.collect()

    assert caplog.messages == []


def test_a_new_journal_is_on_the_disk_together_with_its_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("zerotrust.audit.journal.os.fsync", lambda fd: synced.append(os.fstat(fd).st_ino))
    before = files_open()

    Journal(path).close()

    assert synced == [path.parent.stat().st_ino]
    assert files_open() == before


async def test_a_process_that_ends_without_closing_its_journal_ends(journal: Journal) -> None:
    assert journal._writer.daemon


async def test_only_the_party_itself_may_read_its_journal(journal: Journal, path: Path) -> None:
    assert path.stat().st_mode & 0o077 == 0
