"""Decides which policies are in force after a start: those on record, tested as at an activation."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from authorities.policy import fit
from authorities.policy.activation import limit_problems
from authorities.policy.versions import OnRecord, Version, Versions, VersionsError
from zerotrust.audit.chain import lines, link_before_oldest
from zerotrust.audit.event_types import RegistryChange
from zerotrust.audit.forms import Text, sanitize
from zerotrust.audit.record import ChangedRecord, event_of, last_link
from zerotrust.registry.model import Registry

_TARGET = re.compile(r"^policy (\d{1,9}) ([0-9a-f]{64})$")
_log = logging.getLogger(__name__)


def target_of(version: Version) -> Text:
    """Return the version's full name in records."""
    return sanitize(f"policy {version.number} {version.digest}")


def versions_on_record(journal: Path) -> OnRecord:
    """Return what this journal records of the versions: the last version that it names is in force.  Blocks.

    Raises `VersionsError` if its chain is broken.
    """
    found = OnRecord()

    def read() -> Iterator[bytes]:
        nonlocal found
        for line in lines(journal):
            yield line  # `last_link` asks for the next one only if this one continues the chain
            if b'"administration"' in line and isinstance(change := event_of(line).data, RegistryChange):
                for number, digest in _TARGET.findall(change.target):
                    found = OnRecord(int(number), digest, max(int(number), found.highest))

    if journal.exists():
        try:
            last_link(link_before_oldest(journal), read())
        except ChangedRecord as changed:
            text = f"{journal}: {changed}.  Restore it from a backup: docs/explain/failures.md."
            raise VersionsError(text) from changed
    return found


def begin(versions: Versions, registry: Registry) -> None:
    """Keep the version in force if it is fit; otherwise put the policies that the system is set up with into force.

    Raises `VersionsError` if neither may be published: then nothing is kept, so that the next start reads them anew.
    Blocks.
    """
    active = versions.active
    why = active.why
    if versions.version(active.number):
        problems = fit.problems(active.content, registry, versions.operators)  # control: kept-version-tested
        if not problems:
            return
        why = f"version {active.number} is unfit"
        _log.error("version %d is unfit, and so not in force: %s", active.number, _bullets(problems))
    first = versions.first()
    if problems := fit.problems(first, registry, versions.operators):
        raise VersionsError(
            f"policies/ may not be published as the first version, so nothing is in force:{_bullets(problems)}\n"
            "Correct them until `make check` finds nothing, then start again; in containers, build the images anew."
        )
    versions.use(versions.add(first, by=None, why=why))


def _bullets(problems: list[str]) -> str:
    first, further = limit_problems(problems)
    return "".join(f"\n- {one}" for one in first) + (f"\nand {further} more." if further else "")
