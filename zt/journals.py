"""Finds the records of a task in the journals of a system on this machine, and checks their hash chains."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zerotrust.audit.chain import first_bad_record, lines
from zerotrust.audit.event import AuditEvent, Exchange
from zerotrust.audit.record import event_of

MOST_SHOWN = 10_000
"""Records of one task or transaction that are shown."""


class JournalsError(Exception):
    """The journals cannot be read.  The text names the cause and the next step."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A journal: how many records it has, and the number of the first one that was changed, or 0."""

    path: Path
    records: int
    first_bad: int


def journals(folder: Path) -> list[Path]:
    """Return the journals in a folder of data, or of an earlier run.  Raises `JournalsError` if there are none."""
    found = sorted([*folder.glob("*/journal.jsonl"), *folder.glob("*.jsonl")])
    if not found:
        raise JournalsError(
            f"There are no journals in {folder}.  Name another folder by --journals: earlier runs of `make up` are in "
            "run/past, the walkthrough's journals in run/walkthrough/data."
        )
    return found


def check(path: Path) -> Checked:
    """Check the hash chain of a journal.  Raises `JournalsError` if it cannot be read."""
    try:
        return Checked(path, sum(1 for _ in lines(path)), first_bad_record(path))
    except OSError as error:
        raise JournalsError(f"{path} cannot be read: {error.strerror}.") from error


def find(folder: Path, wanted: str) -> list[AuditEvent]:
    """Return all records of a task, by its trace id, or of a token and all derived from it, by its id; by time.

    A transaction's id is that of its first token.  Raises `JournalsError`, also if there are more than `MOST_SHOWN`.
    """
    found: list[AuditEvent] = []
    for path in journals(folder):
        for event in _matching(path, wanted):
            if len(found) == MOST_SHOWN:
                raise JournalsError(f"More than {MOST_SHOWN} records name {wanted}: name one trace id instead.")
            found.append(event)
    return sorted(found, key=lambda event: event.time)


def named(folder: Path, kind: str, name: str) -> bool:
    """Return whether a record names that session or token.  Raises `JournalsError`."""
    for path in journals(folder):
        for event in _matching(path, name):
            token = getattr(event.data, "principal", None)
            if kind == "token" or (token and token.session == name):
                return True
    return False


def _matching(path: Path, wanted: str) -> Iterator[AuditEvent]:
    try:
        for number, line in enumerate(lines(path), 1):
            if wanted.encode() in line and wanted in _ids(event := _parsed(path, number, line)):
                yield event
    except OSError as error:
        raise JournalsError(f"{path} cannot be read: {error.strerror}.") from error


def _parsed(path: Path, number: int, line: bytes) -> AuditEvent:
    try:
        return event_of(line)
    except ValueError as error:
        raise JournalsError(f"{path}: record {number} was changed; `zt audit verify` checks all journals.") from error


def _ids(event: AuditEvent) -> set[str | None]:
    """Return the ids by which a record is found."""
    token = getattr(event.data, "principal", None)
    ids: set[str | None] = {event.trace.trace_id, event.trace.caller_trace_id} if event.trace else set()
    if token:
        ids |= {token.transaction, token.token_id, *token.lineage, token.session}
    return ids | ({event.data.token_id} if isinstance(event.data, Exchange) else set())
