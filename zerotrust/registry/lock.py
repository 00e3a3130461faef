"""Reads `registry.lock`: what was approved of each party, as digests.  `make register` writes it.

The registry serves it, signed; attestation holds what it launches against it.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
from pydantic import Field

from zerotrust.registry.model import Entry, Name, Registry, content, validated

FILES = REGISTRY, LOCK = "registry.yaml", "registry.lock"
"""What the registry reads, in the project's folder: who exists, and as what each was approved."""

_SECTIONS = {"scopes", "parties", "outside"}
"""What has an entry for each name."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256, in hex."""


class Approved(Entry):
    """What one party was approved with."""

    code: Digest | None = None
    """Over its files, where it runs measured code."""
    card: Digest | None = None
    """Over an agent's card, without its signatures."""
    tools: dict[str, Digest] = Field(default={})
    """Over the description of each tool: its name, what it says it does, what it takes and gives."""


class Lock(Entry):
    """The whole file."""

    files: dict[str, Digest]
    """Every file that some party can run, by its path in the project."""
    parties: dict[Name, Approved]
    registry: dict[str, Digest] = Field(default={})
    """Over each entry of `registry.yaml`, by its key."""

    def files_of(self, folders: Iterable[str]) -> dict[str, str]:
        """The approved files in these folders."""
        return within(self.files, folders)


def within(files: Mapping[str, str], folders: Iterable[str]) -> dict[str, str]:
    """Those of the files that lie in these folders, by their paths."""
    inside = tuple(f"{folder}/" for folder in folders)
    return {path: digest for path, digest in files.items() if path.startswith(inside)}


def changed(approved: Mapping[str, object], found: Mapping[str, object]) -> list[str]:
    """The paths that are not what was approved: changed, added or missing, in order."""
    return sorted(path for path in approved.keys() | found.keys() if approved.get(path) != found.get(path))


def entries(registry: Registry) -> dict[str, str]:
    """The SHA-256, in hex, of each entry of a registry as it is understood, by its key, as `parties.NAME`."""
    found: dict[str, str] = {}
    for section, whole in registry.model_dump(mode="json").items():
        parts = whole if section in _SECTIONS else {"": whole}
        for name, part in parts.items():
            text = orjson.dumps(part, option=orjson.OPT_SORT_KEYS)
            found[f"{section}.{name}".rstrip(".")] = hashlib.sha256(text).hexdigest()
    return found


def as_text(lock: Lock) -> str:
    """The lock as the committed file holds it."""
    return orjson.dumps(_plain(lock), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() + "\n"


def _plain(lock: Lock) -> dict[str, Any]:
    return lock.model_dump(exclude_defaults=True)


def load_lock(path: Path) -> Lock:
    """Read the lock.  Raises `RegistryError` naming the file and the reason."""
    return lock_of(content(path, hint=": `make register` writes it"), path)


def lock_of(text: bytes, path: Path) -> Lock:
    """Check a lock that was read from `path`.  Raises `RegistryError` naming the file and the reason."""
    return validated(Lock, text, path, parse=orjson.loads)
