"""Finds records in the journals of a system on this machine, and checks their hash chains."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from zerotrust.audit.chain import closed_segments, first_number, lines, link_before_oldest
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.record import ChangedRecord, event_of, last_link
from zt.audit.query import NoRecordError, Query, Records, find_records
from zt.errors import CommandError


@dataclass(frozen=True, slots=True)
class CheckedJournal:
    """A journal: how many records it has, and the number of the first that was changed, or 0.

    `after`: of the last record that was deleted, because the audit log has it and those before it; or 0.
    """

    path: Path
    records: int
    first_bad: int
    after: int = 0


def journals(folder: Path) -> list[Path]:
    """Return the journals in a folder of data, or of an earlier run.  Raises `CommandError` if there are none."""
    found = sorted([*folder.glob("*/journal.jsonl"), *folder.glob("*.jsonl")])
    if not found:
        raise CommandError(
            f"There are no journals in {folder}.  Name another folder by --journals: the walkthrough's journals are in "
            "run/walkthrough/data.",
            "journals_unreadable",
        )
    return found


def check(path: Path) -> CheckedJournal:
    """Check the hash chain of a journal.  Raises `CommandError` if it cannot be read."""
    try:
        deleted = 0
        with suppress(ValueError):
            deleted = link_before_oldest(path).records
        return CheckedJournal(path, sum(1 for _ in lines(path)), first_bad_record(path), deleted)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.", "journals_unreadable") from error


def find(folder: Path, what: Query) -> Records:
    """Return the records about something, in all journals.  Raises `CommandError`."""
    try:
        return find_records(records(folder), what, author=lambda place, _: place.rpartition(": record ")[0])
    except NoRecordError as error:
        raise CommandError(
            f"{error} was changed; `zt audit verify` checks all journals.", "journals_unreadable"
        ) from error


def is_named(folder: Path, kind: str, name: str) -> bool:
    """Return whether a record names that session or token.  Raises `CommandError`."""
    for event in find(folder, Query("id", name)).events:
        token = getattr(event.data, "principal", None)
        if kind == "token" or (token and token.session == name):
            return True
    return False


def records(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each line of all journals, and its place in words.  Raises `CommandError`."""
    for path in journals(folder):
        try:
            for number, line in enumerate(lines(path), first_record(path)):
                yield f"{path}: record {number}", line
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.", "journals_unreadable") from error


def first_record(path: Path) -> int:
    """Return the number of a journal's first record: earlier segments are deleted, once the ledger has them."""
    older = closed_segments(path)
    return first_number(older[0]) if older else 1


def events(path: Path) -> Iterator[AuditEvent]:
    """Yield the events of a journal, the oldest first.  Raises `ValueError` at a record that is not of schema 1."""
    return map(event_of, lines(path))


def first_bad_record(path: Path) -> int:
    """Return the number of the first record that was changed, or 0.

    The last records cannot be checked: to detect that they were changed, rewritten or cut off takes an anchor outside
    the journal.  Nor can the first ones, if they are here no longer: the audit log has them.
    """
    try:
        before = link_before_oldest(path)
    except ValueError:
        return first_number(closed_segments(path)[0])
    try:
        last_link(before, lines(path))
    except ChangedRecord as changed:
        return changed.number
    return 0
