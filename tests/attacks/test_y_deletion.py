"""Y. Journals whose records are in the audit log, and are deleted: by whose word."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from unittest.mock import patch

from tests.support.attack import Attempt, Scene, Tries, attack
from tests.support.issuer import Issuer
from tests.support.proving import LIES, Lying, Proving, delete
from zerotrust.audit import segments
from zerotrust.audit.chain import closed_segments, lines
from zerotrust.audit.deletion import NotProven
from zerotrust.audit.journal import Journal
from zerotrust.service import Service
from zt.audit.journals import first_bad_record


class Delivered(Scene):
    """A journal of which everything was acknowledged."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.parent)
        self.path = path
        self.segments, self.lines = closed_segments(path), [*lines(path)]

    def check_journals(self) -> None:
        assert first_bad_record(self.path) == 0

    async def deleted(self, ledger: Proving) -> Attempt:
        """What the party deletes by what this ledger says."""
        with suppress(NotProven):
            await delete(self.path, 60, ledger)
        gone = len(self.segments) - len(closed_segments(self.path))
        return Attempt("nothing is deleted" if not gone else f"{gone} segments are deleted", gone > 0)


@asynccontextmanager
async def delivered(folder: Path, _issuer: Issuer, _kind: type[Service]) -> AsyncIterator[Delivered]:
    with patch.object(segments, "SEGMENT", 500):
        journal = Journal(folder / "journal.jsonl")
        for number in range(60):
            await journal.append(b'{"record":%d}' % number)
        yield Delivered(folder / "journal.jsonl")
        journal.close()


@attack(373, delivered)
async def test_records_that_are_acknowledged_and_never_published(journal: Delivered) -> Tries:
    """The thief has the ledger's key: it signs a log with other records, or one that no witness has seen."""
    for lie in LIES:
        yield await journal.deleted(Lying(journal.path, lie))


@attack(374, delivered)
async def test_another_history_than_the_one_that_was_seen(journal: Delivered) -> Tries:
    """Both keys were stolen after the first segments had been deleted."""
    await delete(journal.path, 20, Proving(journal.lines[:40]))
    journal.segments = closed_segments(journal.path)
    yield await journal.deleted(Proving([b"forged", *journal.lines[1:]]))
