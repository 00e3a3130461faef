"""Reads and writes the lock, `registry.lock`: the approval of each party, as digests.  `make register` writes it.

The registry publishes it, signed; attestation compares it with what it launches.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import orjson
from pydantic import Field

from zerotrust.authority.files.reading import read_content, validate
from zerotrust.registry.model import Approved, Digest, Entry, Name, Registry

FILES = REGISTRY, LOCK = "registry.yaml", "registry.lock"
"""The registry's files in the project's folder: the parties, and their approvals."""

_SECTIONS = {"scopes", "parties", "outside"}
"""The sections that have an entry for each name."""


class Rights(Entry):
    """The rights of one party."""

    may_call: list[Name] = Field(default=[])
    delegates: list[str] = Field(default=[])


class Lock(Entry):
    """The whole file."""

    files: dict[str, Digest]
    """Each file that a party can run, by its path in the project."""
    runs: dict[Name, list[str]] = Field(default={})
    """The files that each party runs, in order: its folder, and what that imports."""
    parties: dict[Name, Approved]
    registry: dict[str, Digest] = Field(default={})
    """The digest of each entry of `registry.yaml`, by its key."""
    rights: dict[Name, Rights] = Field(default={})
    """The rights of each party that has any, in order: the next approval shows what has changed."""

    def files_of(self, name: str) -> dict[str, str]:
        """Return the approved files of a party: SHA-256, in hex, by path."""
        return {path: self.files[path] for path in self.runs.get(name, ()) if path in self.files}


def files_within(files: Mapping[str, str], folders: Iterable[str]) -> dict[str, str]:
    """Return the files that are in these folders."""
    inside = tuple(f"{folder}/" for folder in folders)
    return {path: digest for path, digest in files.items() if path.startswith(inside)}


def changes(approved: Mapping[str, object], found: Mapping[str, object]) -> list[str]:
    """Return the names that differ from what was approved: changed, added or missing, in order."""
    return sorted(path for path in approved.keys() | found.keys() if approved.get(path) != found.get(path))


def entries(registry: Registry) -> dict[str, str]:
    """Return the SHA-256, in hex, of each validated entry of a registry, by its key, as `parties.NAME`."""
    found: dict[str, str] = {}
    for section, whole in registry.model_dump(mode="json").items():
        parts = whole if section in _SECTIONS else {"": whole}
        for name, part in parts.items():
            text = orjson.dumps(part, option=orjson.OPT_SORT_KEYS)
            found[f"{section}.{name}".rstrip(".")] = hashlib.sha256(text).hexdigest()
    return found


def load_lock(path: Path) -> Lock:
    """Return the lock in a file.  Raises `RegistryError` naming the file and the reason."""
    return lock_of(read_content(path, hint=": `make register` writes it"), path)


def lock_of(text: bytes, path: Path) -> Lock:
    """Return the lock that was read from `path`.  Raises `RegistryError` naming the file and the reason."""
    return validate(Lock, text, path, parse=orjson.loads)
