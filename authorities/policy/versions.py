"""The versions of the policies, each in a file that never changes; the newest is in force.  Blocks.

A version is on the disk before any party hears of it.  If that fails, the last one stays in force.  After a restart,
the newest version on record is in force.
"""

import logging
import re
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from authorities.policy.decisions import FILE, MAX_TABLE
from zerotrust.authority.files.reading import RegistryError, read_content
from zerotrust.authority.files.snapshot_files import MAX_POLICY_FILES, SCHEMA, policy_files
from zerotrust.durable import sync_folder, write_file
from zerotrust.errors import ZeroTrustError
from zerotrust.registry.model import Digest
from zerotrust.registry.policy_bundle import MAX_STEP
from zerotrust.registry.snapshot import MAX_POLICY, PolicyDocument

MAX_BYTES = 2 * MAX_POLICY + MAX_TABLE
"""Bytes of all files, in UTF-8.  An operator's client reads them as JSON, where each takes two at most."""
KEPT = 200
"""Versions: years of changes.  Each has at most 0.4 MB, so all of them at most 80 MB."""
MAX_WHY = 200
"""Characters of an operator's reason; a record has as many."""
LONGEST_NAME = 64
"""Characters of a file's name."""

Text = Annotated[str, Field(max_length=MAX_POLICY)]
FileName = Annotated[str, StringConstraints(pattern=rf"^[a-z0-9][a-z0-9_-]{{0,{LONGEST_NAME - 7}}}\.cedar$")]
Why = Annotated[str, StringConstraints(pattern=rf"^[^\x00-\x1f\x7f]{{1,{MAX_WHY}}}$", strip_whitespace=True)]
"""Why an operator activates a version: one line."""
FIRST = "the policies that the system was set up with"
"""Why the first version is in force."""
WITHDRAWN = ".withdrawn"
"""Ends the file name of a version that was put aside."""
_NAME = re.compile(r"(\d{6,})\.(json|damaged|withdrawn)")
_log = logging.getLogger(__name__)


class VersionsError(ZeroTrustError):
    """A version cannot be kept or read.  The text names the cause, and the next step."""


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Content(_Shape):
    """What a security team edits: the rules, a file for each concern; their schema; and the decision table."""

    policies: Annotated[dict[FileName, Text], Field(min_length=1, max_length=MAX_POLICY_FILES)]
    cedar_schema: Text
    table: Annotated[str, Field(max_length=MAX_TABLE)]

    @property
    def files(self) -> dict[str, str]:
        return {**self.policies, SCHEMA: self.cedar_schema, FILE: self.table}

    @property
    def document(self) -> PolicyDocument:
        """The rules as one text, in the order of their files' names, and the schema: what services are sent."""
        text = "\n".join(self.policies[name] for name in sorted(self.policies))
        return PolicyDocument(policies=text, cedar_schema=self.cedar_schema)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if sum(map(len, self.policies.values())) + len(self.policies) - 1 > MAX_POLICY:
            raise ValueError(f"the policies have more than {MAX_POLICY} characters")
        if sum(len(text.encode()) for text in self.files.values()) > MAX_BYTES:
            raise ValueError(f"the files have more than {MAX_BYTES} bytes")
        return self


class Summary(_Shape):
    """A version without its content."""

    number: Annotated[int, Field(ge=1)]
    digest: Digest
    """The digest of the document that services are sent."""
    at: float
    """When it was activated, in seconds since the epoch."""
    by: str | None
    """The subject of the operator; None for the first version, which came with the system."""
    why: str
    of: int | None = None
    """The version whose content this is again."""

    @property
    def name(self) -> str:
        return f"{self.number}-{self.digest[:12]}"


class Version(Summary):
    """A version of the policies."""

    content: Content

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.digest != self.content.document.digest:
            raise ValueError("the content does not have the digest")
        return self

    @property
    def summary(self) -> Summary:
        return Summary(**self.model_dump(exclude={"content"}))


def content_of(folder: Path) -> Content:
    """Return the policies in a folder.  Raises `RegistryError` if a file is missing, unreadable or too large."""
    try:
        policies = {file.name: _text(file) for file in policy_files(folder)}
        return Content(
            policies=policies,
            cedar_schema=_text(folder / SCHEMA),
            table=read_content(folder / FILE, most=MAX_TABLE).decode(),
        )
    except ValidationError as error:
        raise RegistryError(f"{folder}: {first_error(error)}") from error
    except UnicodeDecodeError as error:
        raise RegistryError(f"{folder}: {error}") from error


def first_error(error: ValidationError) -> str:
    """Return the first thing that is wrong with a content, and where."""
    first = error.errors()[0]
    return ": ".join([*map(str, first["loc"]), first["msg"].removeprefix("Value error, ")])


class Versions:
    """All versions that are kept."""

    def __init__(
        self,
        folder: Path,
        first: Callable[[], Content],
        recorded: Collection[tuple[int, str]],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Read the versions in a folder; `active` is the one in force.

        `first`: returns what the system was set up with, which is in force if no version on record is kept.
        `recorded`: number and digest of each version that is on record.  `clock`: seconds since the epoch.
        Raises `VersionsError` if the newest, of those kept or of those on record, is damaged or missing: an older one
        would take back what an operator has decided.
        """
        self._folder, self.first, self._clock = folder, first, clock
        self.refused: Summary | None = None
        """The newest version, if it is kept and not on record: an intruder may have written it."""
        self._all: dict[int, Summary] = {}
        self._lasting: set[int] = set()
        """Numbers of the versions that are on record, or will be: the others are forgotten first."""
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            files, aside = self._read()
        except OSError as error:
            raise VersionsError(f"{folder} cannot be read: {error}.") from error
        if (newest := max(files, default=0)) not in {0, *self._all}:  # control: newest-version-whole
            raise _unusable_error(self._file(newest))
        for one in self._all.values():
            if (one.number, one.digest) in recorded:  # control: kept-version-recorded
                self._lasting.add(one.number)
        stated = max((number for number, _ in recorded), default=0)
        if stated not in {0, *self._lasting, *aside}:  # control: newest-version-there
            raise _unusable_error(self._file(stated))
        self._last = stated
        self._last = max([stated, *aside])  # control: numbers-used-once
        # A planted file uses no numbers up: the registry takes no version further above the one before.
        self._last = max(number for number in (self._last, *files) if number < self._last + MAX_STEP)
        self.active = self._in_force(recorded) or self._next(first(), by=None, why=FIRST)

    @property
    def begun(self) -> bool:
        """Whether the version in force is kept."""
        return self.active.number in self._all

    def all(self) -> list[Summary]:
        """Return all versions without their contents, the newest first."""
        return [self._all[number] for number in sorted(self._all, reverse=True)]

    @property
    def operators(self) -> frozenset[str]:
        """The subjects of those who have activated the versions that are kept."""
        return frozenset(one.by for one in self._all.values() if one.by)

    def version(self, number: int) -> Version:
        """Return a version.  Raises `KeyError` if there is none of that number, `VersionsError` if it is damaged."""
        summary = self._all[number]
        try:
            found = Version.model_validate_json(self._file(number).read_bytes())
        except (OSError, ValueError) as error:
            raise VersionsError(f"{self._file(number)} is damaged: restore it from a backup.") from error
        if found.summary != summary:
            raise VersionsError(f"{self._file(number)} is not what it was: restore it from a backup.")
        return found

    def add(self, content: Content, *, by: str | None, why: str, of: int | None = None) -> Version:
        """Keep a new version, which is in force from now on.  Raises `VersionsError`, and then nothing has changed."""
        version = self._next(content, by=by, why=why, of=of)
        number, file = version.number, self._file(version.number)
        try:
            write_file(file, version.model_dump_json().encode())
            sync_folder(self._folder)
        except OSError as error:
            with suppress(OSError):
                file.unlink(missing_ok=True)
                sync_folder(self._folder)
            raise VersionsError(
                f"version {number} cannot be kept in {self._folder} ({error.strerror}): make room there, then repeat "
                "the command"
            ) from error
        self._all[number], self._last, self.active = version.summary, number, version
        self._lasting.add(number)
        self._forget()
        return version

    def withdraw(self, version: Version) -> None:
        """Put the newest version aside, which the registry has not taken; the one before is in force again.

        Its number stays used, so that it never names another version.  Raises `VersionsError` if that is impossible.
        """
        before = max(number for number in self._all if number < version.number)
        active, file = self.version(before), self._file(version.number)
        try:
            file.rename(file.with_suffix(WITHDRAWN))
            sync_folder(self._folder)
        except OSError as error:
            raise VersionsError(
                f"{file} cannot be put aside ({error.strerror}), and would be in force after a restart: remove it"
            ) from error
        del self._all[version.number]
        self.active = active
        for older in self._folder.glob(f"*{WITHDRAWN}"):  # the number of the newest is the one that counts
            if older.stem < file.stem:
                with suppress(OSError):
                    older.unlink()

    def _in_force(self, recorded: Collection[tuple[int, str]]) -> Version | None:
        """Return the newest version that is on record; note the newest one, if it is not, in `refused`."""
        for summary in self.all():
            if summary.number in self._lasting:
                return self.version(summary.number)
            # Only before anything is on record: later, such a file could be planted over an activated version.
            if not recorded and (version := self.version(summary.number)).content == self.first():
                self._lasting.add(summary.number)
                return version
            self.refused = self.refused or summary
        return None

    def _next(self, content: Content, *, by: str | None, why: str, of: int | None = None) -> Version:
        number, digest = self._last + 1, content.document.digest
        return Version(number=number, digest=digest, at=self._clock(), by=by, why=why, of=of, content=content)

    def _read(self) -> tuple[set[int], set[int]]:
        """Read all versions.  Return the numbers of the files, whole or not, and of those that were put aside."""
        files, aside = set[int](), set[int]()
        for file in self._folder.iterdir():
            if not (named := _NAME.fullmatch(file.name)):
                continue
            number = int(named[1])
            (files if named[2] == "json" else aside).add(number)
            if named[2] == "json":
                try:
                    found = Version.model_validate_json(file.read_bytes())
                except ValueError:
                    _log.exception("%s is damaged: restore it from a backup", file)
                    continue
                if found.number == number:
                    self._all[number] = found.summary
        return files, aside

    def _forget(self) -> None:
        """Remove the oldest versions above the bound.  One that cannot be removed now is removed with the next."""
        for number in sorted(self._all, key=lambda number: (number in self._lasting, number))[:-KEPT]:
            with suppress(OSError):
                self._file(number).unlink()
                del self._all[number]

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:06}.json"


def _unusable_error(file: Path) -> VersionsError:
    return VersionsError(
        f"{file} is damaged, missing or not the one on record, and it is the newest version: restore it from a backup. "
        f" If there is none, rename it to {file.with_suffix('.damaged').name}, or make an empty file of that name. "
        " Then the version before it is in force here, and `zt policy rollback N --again` publishes it."
    )


def _text(file: Path) -> str:
    return read_content(file, most=4 * MAX_POLICY).decode()  # UTF-8 has at most 4 bytes for a character
