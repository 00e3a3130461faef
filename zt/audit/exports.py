"""Makes exports of the log, and verifies them: what the commands `zt audit export` and `verify` do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from evidence.export import export_lines, lines_of
from evidence.fault import EXPORT, LOG, Faulty, LoggedRecords, compare, identify
from evidence.verification import Leaf, Verification
from zerotrust.audit.chain import lines
from zerotrust.authority.bounded_file import file_content
from zerotrust.authority.ledger.leaf import Outline
from zerotrust.tlog.checkpoint import Checkpoint, checkpoint_of
from zerotrust.tlog.note import MAX_NOTE, Note
from zerotrust.tlog.quorum import TrustPolicy, policy
from zerotrust.tlog.tree import InvalidLog
from zt.audit.journals import first_record, journals
from zt.audit.log_folder import LogFolder
from zt.errors import CommandError


class AnyKey:
    """Takes a checkpoint as it is: who signed it is for the reader of an export to say."""

    @staticmethod
    def check(note: Note) -> tuple[Checkpoint, dict[str, int]]:
        """Return what a note says.  Raises `InvalidLog`."""
        return checkpoint_of(note), {}


def load_policy(path: Path) -> TrustPolicy:
    """Return the policy in a file.  Raises `CommandError`."""
    try:
        return policy(file_content(path, MAX_NOTE, pipe=True).decode())
    except FileNotFoundError as error:
        text = f"There is no policy {path}: --policy FILE names one.  `zt audit policy > FILE` asks a running registry."
        raise CommandError(text, "no_policy") from error
    except (OSError, UnicodeDecodeError, InvalidLog) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise CommandError(f"{path} is not a policy: {why}.", "malformed_policy") from error


def export(log: LogFolder, file: BinaryIO) -> Verification:
    """Write an export, and return it as it was verified during that; the signatures were not.  Raises `Faulty`."""

    def write_lines() -> Iterator[bytes]:
        for line in export_lines(log.note, log.read):
            file.write(line)
            yield line

    try:
        verification = Verification(write_lines(), AnyKey(), source=LOG)
    except InvalidLog as error:
        raise CommandError(f"The log in {log.folder} cannot be exported: {error}.", "not_exported") from error
    read_leaves(verification)
    return verification


@contextmanager
def open_export(source: Path) -> Iterator[tuple[Iterator[bytes], str]]:
    """Have the lines of an export, which may be the folder of a log itself, and who made them.

    Raises `CommandError`, also where the block cannot read the lines.
    """
    try:
        if source.is_dir():
            log = LogFolder(source)
            yield export_lines(log.note, log.read), LOG
        else:
            with source.open("rb") as file:
                yield lines_of(file), EXPORT
    except OSError as error:
        raise CommandError(f"{source} cannot be read: {error.strerror}.", "unreadable") from error
    except InvalidLog as error:  # of the folder of a log: an export's is a fault
        raise CommandError(f"{source} is not the folder of a log: {error}.", "unreadable") from error


def read_leaves(verification: Verification, delivered: dict[str, LoggedRecords] | None = None) -> None:
    """Read the leaves to their end.  Raises `Faulty`.  `delivered` gets the records of each journal."""
    for at, content, _ in verification.leaves():
        if delivered is not None and isinstance(content, Outline):
            known = delivered.setdefault(content.service, LoggedRecords(content.service))
            known.add(at, verification.journals[content.service].head)


@dataclass(frozen=True, slots=True)
class Verified:
    """An export that has no fault."""

    checkpoint: Checkpoint
    cosigned: dict[str, int]
    """When each witness cosigned it, in seconds since the epoch."""
    records: dict[str, int]
    """How many each journal has in the log."""
    not_delivered: dict[str, int] | None
    """How many records of the journals here are not in the log yet; None where they were not compared."""

    @property
    def document(self) -> dict[str, Any]:
        content = {name: getattr(self, name) for name in ("cosigned", "records", "not_delivered")}
        head = {"origin": self.checkpoint.origin, "size": self.checkpoint.size, "root": self.checkpoint.root.hex()}
        return head | {name: value for name, value in content.items() if value is not None}


def verify_export(source: Path, trust: TrustPolicy, *, local: Path | None) -> Verified:
    """Verify an export, or the folder of a log, and compare the journals in the folder `local` with it.

    Raises `Faulty` and `CommandError`.
    """
    delivered = dict[str, LoggedRecords]() if local else None
    with open_export(source) as (found, maker):
        verification = Verification(found, trust, source=maker)
        read_leaves(verification, delivered)
    behind = _count_undelivered(local, delivered) if local and delivered is not None else None
    counts = {service: link.records for service, link in sorted(verification.journals.items())}
    return Verified(verification.checkpoint, verification.cosigned, counts, behind)


def leaves(source: Path, trust: TrustPolicy) -> Iterator[Leaf]:
    """Yield each leaf of an export, or of the folder of a log, once it is verified.  Raises as `verify_export`."""
    with open_export(source) as (found, maker):
        yield from Verification(found, trust, source=maker).leaves()


def _count_undelivered(folder: Path, delivered: dict[str, LoggedRecords]) -> dict[str, int]:
    """Compare journals with what the log has of them.  Raises `Faulty`, also if one is not there."""
    found = dict[str, int]()
    for journal in journals(folder):
        service, _ = identify(next(lines(journal), b"")) or ("", 0)
        if service not in delivered:
            continue
        fault, found[service] = compare(delivered[service], lines(journal), first_record(journal))
        if fault:
            raise Faulty(fault)
    for service, known in delivered.items():
        if service not in found:
            raise Faulty(known.fault("missing", 1, f"its journal is not in {folder}"))
    return found
