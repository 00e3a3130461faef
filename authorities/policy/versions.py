"""The versions of the policies, each in a file that never changes; the newest is in force.  Blocks.

A version is on the disk, then on record, before any party hears of it.  If that fails, the last one stays in force.
After a restart, the newest version on record is in force.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from authorities.policy.decisions import FILE, MAX_TABLE
from zerotrust.authority.files.reading import RegistryError, read_content
from zerotrust.authority.files.snapshot_files import MAX_POLICY_FILES, SCHEMA, policy_files
from zerotrust.durable import sync_folder, write_file
from zerotrust.errors import ZeroTrustError
from zerotrust.registry.model import Digest
from zerotrust.registry.snapshot import MAX_POLICY, PolicyDocument

MAX_BYTES = 2 * MAX_POLICY + MAX_TABLE
"""Bytes of all files, in UTF-8.  An operator's client reads them as JSON, where each takes two at most."""
KEPT = 200
"""Versions, in files and in memory: years of changes.  Each has at most 0.4 MB, so all of them at most 80 MB."""
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
_log = logging.getLogger(__name__)


class VersionsError(ZeroTrustError):
    """A version cannot be kept or read.  The text names the cause, and the next step."""


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Content(_Shape):
    """The files that a security team edits: a file of rules for each concern, their schema, and the decision table."""

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


class Version(_Shape):
    """A version of the policies."""

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
    content: Content

    @property
    def name(self) -> str:
        return f"{self.number}-{self.digest[:12]}"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.digest != self.content.document.digest:
            raise ValueError("the content does not have the digest")
        return self


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
        first = error.errors()[0]
        where = ": ".join([*map(str, first["loc"]), first["msg"].removeprefix("Value error, ")])
        raise RegistryError(f"{folder}: {where}") from error
    except UnicodeDecodeError as error:
        raise RegistryError(f"{folder}: {error}") from error


class OnRecord(NamedTuple):
    """The versions in the authority's journal."""

    number: int = 0
    """The version in force; 0 before the first."""
    digest: str = ""
    highest: int = 0
    """The highest number of a version, in force or refused."""


class Versions:
    """All versions that are kept."""

    def __init__(
        self, folder: Path, first: Callable[[], Content], recorded: OnRecord, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Read the versions in a folder; `active` is the one in force: the one on record, whatever else is there.

        `first`: returns the policies that the system is set up with, which are in force before anything is on record.
        `clock`: seconds since the epoch.  Raises `VersionsError` if the version on record is damaged or missing, and
        `first` has other rules: an older version would take back what an operator has decided.
        """
        self._folder, self.first, self._clock = folder, first, clock
        self._all: dict[int, Version] = {}
        self._last = recorded.highest  # control: numbers-used-once
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._read(recorded.number)
        except OSError as error:
            raise VersionsError(f"{folder} cannot be read: {error}.") from error
        self.active = self.all()[0] if self._all else self._next(first(), by=None, why=FIRST)
        if recorded.number and (self.active.number, self.active.digest) != (recorded.number, recorded.digest):
            content = first()
            lost = self._file(recorded.number)
            if content.document.digest != recorded.digest:  # control: newest-version-there
                raise VersionsError(
                    f"{lost} is damaged, missing or not the version on record, and no older version may be in force: "
                    "restore it from a backup, or put the rules that it had into policies/"
                )
            self.active = self._next(content, by=None, why=f"the rules of {lost.name}, which is damaged or missing")

    def all(self) -> list[Version]:
        """Return all versions, the newest first."""
        return [self._all[number] for number in sorted(self._all, reverse=True)]

    @property
    def operators(self) -> frozenset[str]:
        """The subjects of those who have activated the versions that are kept."""
        return frozenset(one.by for one in self._all.values() if one.by)

    def version(self, number: int) -> Version | None:
        """Return a version if it is kept: the one in force is not yet, if it comes from `first`."""
        return self._all.get(number)

    def add(self, content: Content, *, by: str | None, why: str, of: int | None = None) -> Version:
        """Write a new version, which is in force from `use` on.  Raises `VersionsError`."""
        version = self._next(content, by=by, why=why, of=of)
        try:
            write_file(self._file(version.number), version.model_dump_json().encode())
            sync_folder(self._folder)
        except OSError as error:
            raise VersionsError(
                f"version {version.number} cannot be kept in {self._folder} ({error.strerror}): make room there, then "
                "repeat the command"
            ) from error
        return version

    def use(self, version: Version) -> Version:
        """Put a version into force that is written and on record.  Remove newer and, above the bound, the oldest.

        One that cannot be removed now is removed the next time.
        """
        self._all[version.number] = version
        self.active = version
        self._last = max(self._last, version.number)
        kept = [number for number in sorted(self._all) if number <= version.number][-KEPT:]
        for number in self._all.keys() - kept:
            with suppress(OSError):
                self._file(number).unlink()
                del self._all[number]
        return version

    def _next(self, content: Content, *, by: str | None, why: str, of: int | None = None) -> Version:
        number, digest = self._last + 1, content.document.digest
        return Version(number=number, digest=digest, at=self._clock(), by=by, why=why, of=of, content=content)

    def _read(self, newest: int) -> None:
        """Read the versions up to that number.  A later one is an intruder's, or its activation did not end."""
        for file in self._folder.glob("*.json"):
            try:
                found = Version.model_validate_json(file.read_bytes())
            except ValueError:
                _log.exception("%s is damaged: restore it from a backup", file)
                continue
            if found.number > newest:  # control: kept-version-recorded
                _log.error("%s is not on record, and so not in force", file)
                continue
            if file == self._file(found.number):
                self._all[found.number] = found

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:06}.json"


def _text(file: Path) -> str:
    return read_content(file, most=4 * MAX_POLICY).decode()  # UTF-8 has at most 4 bytes for a character
