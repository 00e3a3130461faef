"""Has a journal go on where the audit log stands with it: what `zt audit resume` does.

The log has records of a journal that the journal does not have: somebody delivered them with a stolen certificate, or
the journal was restored from a backup.  What is in the log stays there.  The journal takes those records over, then a
record that says which ones these are, then its own events again.  Its files as they were are set aside.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from zerotrust.audit.chain import closed, first_of, lines, stands_at
from zerotrust.audit.difference import named
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_types import Resumed
from zerotrust.audit.forms import MICROSECONDS, sanitize
from zerotrust.audit.record import GENESIS, ChangedRecord, Link, content_of, hash_of, line_of, link_of
from zerotrust.audit.segments import JournalError, Segments
from zerotrust.durable import synced
from zerotrust.tlog.checkpoint import Checkpoint
from zerotrust.tlog.quorum import TrustPolicy
from zerotrust.tlog.tree import HASH
from zt.evidence import EvidenceError, records
from zt.journals import first_record, journals


@dataclass(frozen=True, slots=True)
class Log:
    """A log, which is verified whenever it is read."""

    source: Path
    """An export, or the folder of a log."""
    trust: TrustPolicy
    held: Mapping[str, Checkpoint]
    """What the reader's own witness has cosigned."""

    def of(self, service: str) -> Iterator[bytes]:
        """Yield all records of one journal.  Raises as `zt.evidence.records`."""
        for _, line in records(self.source, self.trust, after=0, held=self.held):
            if (named(line) or ("", 0))[0] == service:
                yield line


@dataclass(frozen=True, slots=True)
class Done:
    """What was done."""

    journal: Path
    said: Resumed
    aside: Path
    """The folder with the files as they were."""


def resume(folder: Path, service: str, log: Log, because: str) -> Done:
    """Have the journal of a service, in a folder of journals, go on where the log stands.

    Raises `EvidenceError` if there is nothing to do, or the service runs; and as `zt.evidence.records`.
    """
    path = _journal(folder, service)
    try:
        with closing(Segments(path)):  # nobody else writes to it meanwhile
            return _resumed(path, service, log, because)
    except JournalError as error:
        if isinstance(error.__cause__, ChangedRecord):
            text = f"{error}, so nobody can say what else was.  Restore the journal from a copy: "
            text += "docs/explain/failures.md, 'A journal whose own chain is broken'."
            raise EvidenceError(text, "journal_broken") from error
        text = f"{error}.  The service must not run meanwhile; it starts again afterwards."
        raise EvidenceError(text, "journal_in_use") from error
    except OSError as error:
        text = f"{path} cannot be written: {error.strerror}.  In containers, the journal has to be mounted for writing."
        raise EvidenceError(text, "not_written") from error


def _resumed(path: Path, service: str, log: Log, because: str) -> Done:
    there = b"".join(bytes.fromhex(hash_of(line)) for line in log.of(service))
    same, own = _compared(path, there)
    if not (foreign := len(there) // HASH - same):
        raise EvidenceError(f"The log has no other record than {path}: there is nothing to do.", "not_needed")
    if same < (oldest := first_record(path)) > 1:
        raise EvidenceError(f"{path} has nothing any more that is also in the log: `make fresh`.", "nothing_in_common")
    older = closed(path)
    begins = [oldest, *map(first_of, older), (stands_at(older[-1]) if older else GENESIS).records + 1]
    first = max(number for number in begins if number <= same + 1)
    said = Resumed(
        same=same,
        foreign=foreign,
        aside=own.records - same or None,
        aside_sha256=own.head if own.records > same else None,
        cause=sanitize(because),
    )
    event = AuditEvent(schema=1, time=int(time.time() * MICROSECONDS), service=service, data=said)
    replaced = [segment for segment in older if first_of(segment) >= first]
    aside = path.with_name(f"set-aside-{own.head[:12]}")
    new = path.with_name(f"{path.name}.resumed")
    try:
        _write(new, _chain(path, _as_compared(log.of(service), there), event, range(first, same + 1)))
        _link([*replaced, path], aside)
        new.rename(path)
        for segment in replaced:
            segment.unlink()
        synced(path.parent)
    except OSError as error:
        raise EvidenceError(f"{path} cannot be resumed: {error.strerror}.", "not_written") from error
    finally:
        new.unlink(missing_ok=True)
    return Done(path, said, aside)


def _journal(folder: Path, service: str) -> Path:
    for path in journals(folder):
        if (named(next(lines(path), b"")) or ("", 0))[0] == service:
            return path
    raise EvidenceError(f"No journal in {folder} is that of {service}.", "no_journal")


def _compared(path: Path, there: bytes) -> tuple[int, Link]:
    """Return up to which record a journal is what the log has of it, and where the journal stands."""
    same, stands = len(there) // HASH, Link(first_record(path) - 1, "")
    for line in lines(path):
        stands = Link(stands.records + 1, hash_of(line))
        at = stands.records * HASH
        if stands.records <= same and bytes.fromhex(stands.head) != there[at - HASH : at]:
            same = stands.records - 1
    return min(same, stands.records), stands


def _as_compared(logged: Iterable[bytes], there: bytes) -> Iterator[bytes]:
    """Yield the records that the log had when it was compared; it may have grown, and what is newer is not taken over.

    Raises `EvidenceError` if these are others now.
    """
    found = 0
    for found, line in enumerate(logged, 1):
        if (at := found * HASH) > len(there):
            break
        if bytes.fromhex(hash_of(line)) != there[at - HASH : at]:
            raise EvidenceError(
                f"The log has another record {found} than a moment ago: nothing is changed.", "log_changed"
            )
        yield line
    if found * HASH < len(there):
        raise EvidenceError("The log has fewer records than a moment ago: nothing is changed.", "log_changed")


def _chain(path: Path, logged: Iterable[bytes], event: AuditEvent, kept: range) -> Iterator[bytes]:
    """Yield the lines of the newest segment: those that are kept, those of the log, and what the journal says now."""
    for number, line in enumerate(lines(path), first_record(path)):
        if number in kept:
            yield line
    link = GENESIS
    for number, line in enumerate(logged, 1):
        if number >= kept.stop:
            link = link_of(line)
            yield line
    own = (content_of(line) for number, line in enumerate(lines(path), first_record(path)) if number >= kept.stop)
    for content in chain([event.canonical()], own):
        line = line_of(content, link)
        link = link_of(line)
        yield line


def _write(file: Path, content: Iterator[bytes]) -> None:
    """Write lines to a new file that only its owner may read, and return when they are on the disk."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
        opened.writelines(line + b"\n" for line in content)
        opened.flush()
        os.fsync(opened.fileno())


def _link(files: list[Path], folder: Path) -> None:
    """Give files a second name in a folder, where they stay; an attempt that was interrupted may have done that."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for file in files:
        with suppress(FileExistsError):
            os.link(file, folder / file.name)
    synced(folder)
    synced(folder.parent)
