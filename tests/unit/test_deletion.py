"""A segment of a journal is deleted when the log has proven that it has it, and not by the ledger's word."""

from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from tests.support.proving import Proving, delete
from tests.support.tlog import witness
from zerotrust.audit import deletion, segments
from zerotrust.audit.chain import closed_segments, lines
from zerotrust.audit.deletion import AGAIN, KEPT, SEEN, Deletion, NotProven
from zerotrust.audit.journal import Journal
from zerotrust.audit.log_client import parse_in_log


@pytest.fixture
async def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Path]:
    """A journal of 60 records in about ten segments."""
    monkeypatch.setattr(segments, "SEGMENT", 500)
    journal = Journal(tmp_path / "journal.jsonl")
    for number in range(60):
        await journal.append(b'{"record":%d}' % number)
    yield tmp_path / "journal.jsonl"
    journal.close()


@pytest.mark.parametrize("delivered", [0, 7, 20, 60])
async def test_what_was_delivered_is_deleted_but_for_the_newest_segments(path: Path, delivered: int) -> None:
    before, whole = closed_segments(path), [*lines(path)]
    await delete(path, delivered)

    left, rest = closed_segments(path), [*lines(path)]
    assert left[-KEPT:] == before[-KEPT:]
    assert set(left) <= set(before)
    assert rest == whole[len(whole) - len(rest) :]
    assert len(whole) - len(rest) <= delivered  # nothing that is only here
    assert delivered < 60 or left == before[-KEPT:]
    assert delivered or left == before


async def test_who_is_believed_does_not_change(path: Path) -> None:
    await delete(path, 20)
    another = Proving(lines(path))
    another.registry = witness("registry of another")
    with pytest.raises(NotProven, match="cosigned by no witness"):
        await delete(path, 60, another)


async def test_after_a_proof_that_failed_none_is_asked_for_some_time(path: Path) -> None:
    ledger, now = Proving([*lines(path)][:1]), [1000.0]
    one = Deletion(path, ledger, ledger.policy, lambda: now[0])
    with pytest.raises(NotProven, match=f"{closed_segments(path)[0].name} is not deleted: .* has record"):
        await one.delete(one.due(60)[0])
    assert one.due(60) == []
    now[0] += AGAIN
    assert one.due(60)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"policy":"x","checkpoint":null,"more":1}'])
async def test_what_was_seen_is_read_strictly(path: Path, content: bytes) -> None:
    path.with_name(SEEN).write_bytes(content)
    with pytest.raises(NotProven, match="is not what this program wrote: remove it"):
        await delete(path, 60)


async def test_a_proof_travels_as_json(path: Path) -> None:
    ledger = Proving(lines(path))
    found = await ledger.proof(7, 13)
    assert parse_in_log(found.json()) == found
    for raw in (b"", b"[]", b"{}", b'{"proof":1,"grown":[]}', orjson.dumps({"proof": str(found.proof), "grown": [1]})):
        with pytest.raises(ValueError, match=r"."):
            parse_in_log(raw)


async def test_what_was_seen_is_on_the_disk_before_a_segment_is_deleted(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, oldest = list[tuple[bool, bool]](), closed_segments(path)[0]
    monkeypatch.setattr(
        deletion, "sync_folder", lambda folder: known.append(((folder / SEEN).exists(), oldest.exists()))
    )
    await delete(path, 20)
    assert known[0] == (True, True)
    assert not oldest.exists()
