"""Reads what the registry serves: `registry.yaml`, and what was approved of it, `registry.lock`."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from zerotrust.registry.lock import FILES, LOCK, REGISTRY, Lock, lock_of
from zerotrust.registry.model import Registry, RegistryError, content, registry_of
from zerotrust.registry.snapshot import RegistrySnapshot


def load_known(folder: Path, places: Mapping[str, str]) -> RegistrySnapshot:
    """Read both files; of `places`, where parties listen, count those of the parties that they have.

    Raises `RegistryError` where one of them is unfit, or does not fit the other.
    """
    texts = {name: content(folder / name) for name in FILES}
    registry, lock = registry_of(texts[REGISTRY], folder / REGISTRY), lock_of(texts[LOCK], folder / LOCK)
    if differing := unapproved(registry, lock):
        raise RegistryError(
            f"registry.yaml is not what registry.lock approves ({', '.join(differing)}): `make register`"
        )
    read_from = {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}
    there = {name: place for name, place in places.items() if name in registry.parties}
    addresses = {name: registry.address(name) for name in there}
    approved = dict(lock.parties)
    return RegistrySnapshot(
        registry=registry, addresses=addresses, places=there, approved=approved, read_from=read_from
    )


def unapproved(registry: Registry, lock: Lock) -> list[str]:
    """The parties that the lock does not know, or knows with other rights."""
    return sorted(
        name
        for name in registry.parties.keys() | lock.parties.keys()
        if name not in registry.parties
        or (approved := lock.parties.get(name)) is None
        or (approved.may_call, approved.delegates) != ((party := registry.parties[name]).may_call, party.delegates)
    )
