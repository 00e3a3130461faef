"""A journal read from one record on while it is written, closed and handed over; and a journal that begins later."""

from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from tests.support.proving import delete
from zerotrust.audit import segments, tail
from zerotrust.audit.chain import begins_after, closed, first_bad_record, lines
from zerotrust.audit.deletion import KEPT
from zerotrust.audit.journal import Journal
from zerotrust.audit.record import GENESIS, MAX_LINE, link_of
from zerotrust.audit.tail import RecordGone, Tail


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments that a few records fill."""
    monkeypatch.setattr(segments, "SEGMENT", 500)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[Journal]:
    opened = Journal(path)
    yield opened
    opened.close()


async def write(journal: Journal, count: int) -> None:
    """Records with their own numbers, each in a commit of its own."""
    for number in range(journal.link.records + 1, journal.link.records + count + 1):
        await journal.append(b'{"record":%d}' % number)


def numbers(found: list[bytes]) -> list[int]:
    return [orjson.loads(line)["event"]["record"] for line in found]


async def test_each_line_is_read_once_across_all_segments(journal: Journal, path: Path) -> None:
    reader, found = Tail(path, 0), list[bytes]()
    for count in (1, 7, 20, 0, 1):
        await write(journal, count)
        found += reader.read(journal.link.records)
        assert reader.read(journal.link.records) == []
    reader.close()

    assert len(closed(path)) > KEPT
    assert found == [*lines(path)]


@pytest.mark.parametrize("after", [0, 1, 5, 16, 29, 30])
async def test_it_begins_after_any_record(journal: Journal, path: Path, after: int) -> None:
    await write(journal, 30)

    with closing(Tail(path, after)) as reader:
        assert numbers(reader.read(30)) == [*range(after + 1, 31)]


async def test_what_is_not_on_the_disk_yet_is_not_read(journal: Journal, path: Path) -> None:
    await write(journal, 3)
    reader = Tail(path, 0)

    assert numbers(reader.read(2)) == [1, 2]
    with path.open("ab") as torn:
        torn.write(b'{"event":{"record":4')
    assert numbers(reader.read(3)) == [3]
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

    assert numbers([line for part in parts for line in part]) == [*range(1, 11)]
    assert all(len(part) == 3 for part in parts[:-1])
    assert all(sum(len(line) + 1 for line in part) <= 400 for part in parts) or bound == "MOST_LINES"


async def test_the_bounds_let_the_longest_record_through() -> None:
    assert tail.MOST_BYTES > MAX_LINE


async def test_a_journal_that_begins_later_is_checked_from_there_on_and_goes_on(journal: Journal, path: Path) -> None:
    await write(journal, 60)
    whole = [*lines(path)]
    await delete(path, 60)
    await write(journal, 20)

    first = numbers([*lines(path)])[0]
    assert begins_after(path) == link_of(whole[first - 2])
    assert first_bad_record(path) == 0
    with pytest.raises(RecordGone, match=f"no longer has record {first - 1}"):
        Tail(path, first - 2).read(60)
    with closing(Tail(path, first - 1)) as reader:
        assert numbers(reader.read(80)) == [*range(first, 81)]

    changed = closed(path)[1]
    changed.write_bytes(changed.read_bytes().replace(b'"record":', b'"Record":', 1))
    assert first_bad_record(path) == int(changed.suffix[1:])


NUMBER: Callable[[bytes], bytes] = lambda text: text.replace(b'"n":1,', b'"n":9,', 1)  # noqa: E731


async def test_a_journal_whose_first_segment_has_another_name_or_number_is_not_believed(
    journal: Journal, path: Path
) -> None:
    assert begins_after(path) == GENESIS
    await write(journal, 30)
    assert begins_after(path) == GENESIS
    oldest = closed(path)[0]
    oldest.write_bytes(NUMBER(oldest.read_bytes()))

    with pytest.raises(ValueError, match="does not begin with its record"):
        begins_after(path)
    assert first_bad_record(path) == 1


async def test_a_commit_wakes_once_whoever_waits_for_it(journal: Journal) -> None:
    woken = list[int]()
    journal.on_commit(lambda: woken.append(journal.link.records))
    assert woken == []
    await write(journal, 3)

    assert woken == [1]
