"""Reads `registry.yaml` and its approval `registry.lock`, and finds the files of policies."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from pydantic import RootModel

from zerotrust.authority.files.consistency import problems
from zerotrust.authority.files.deployment import Deployment, load_deployment
from zerotrust.authority.files.lock import FILES, LOCK, REGISTRY, changes, entries, lock_of
from zerotrust.authority.files.reading import RegistryError, read_content, validate
from zerotrust.limits.strict_json import strict_object
from zerotrust.registry.model import Approved, Name, Pin, Registry
from zerotrust.registry.snapshot import OutsideServer, RegistrySnapshot

ENROLLED = "outside.json"
"""In the registry's own folder: the pins of outside servers, by name, from the person who set up the deployment.

No other user writes there; such a user might as well change the revocations.
"""
MAX_ENROLLED = 64 * 1024
"""Bytes of that file: several hundred servers, of which a deployment has a few."""

SCHEMA = "schema.cedarschema"
"""The schema of the policies, in their folder."""
MAX_POLICY_FILES = 32
"""One for each concern; a person who reviews the policies reads all of them."""


class _Pins(RootModel[dict[Name, Pin]]):
    pass


def load_snapshot(folder: Path, deployment: Path, enrolled: Path | None = None) -> RegistrySnapshot:
    """Return the snapshot of the registry in `folder`, with the deployment in another file.

    `enrolled`: the file of the pins that registry.yaml leaves out; without that file there are none.

    Raises `RegistryError` if a file is invalid, or does not match the others.
    """
    texts = {name: read_content(folder / name) for name in FILES}
    registry, lock = parse_registry(texts[REGISTRY], folder / REGISTRY), lock_of(texts[LOCK], folder / LOCK)
    if differing := changes(lock.registry, entries(registry)):  # control: registry-as-approved
        raise RegistryError(
            f"registry.yaml is not what registry.lock approves ({', '.join(differing)}): `make register`"
        )
    read_from = {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}
    pins = _read_enrolled(enrolled, registry) if enrolled else {}
    snapshot = build_snapshot(load_deployment(deployment, registry), registry, approved=lock.parties, enrolled=pins)
    return snapshot.model_copy(update={"read_from": read_from})


def _read_enrolled(file: Path, registry: Registry) -> dict[str, str]:
    if not file.exists():
        return {}
    pins = validate(_Pins, read_content(file, most=MAX_ENROLLED), file, strict_object).root
    for name, pin in pins.items():
        if name not in registry.outside:
            raise RegistryError(f"{file}: {name}: not an outside server of the registry")
        if (approved := registry.outside[name].spki_sha256) not in (None, pin):
            raise RegistryError(
                f"{file}: {name}: {pin} is not the key in {REGISTRY}, {approved}: correct one of the two files"
            )
    return pins


def policy_files(folder: Path) -> list[Path]:
    """Return the files of the policies, `*.cedar`, in the order in which they are one document: by name.

    Raises `RegistryError` if there are none, or more than `MAX_POLICY_FILES`.
    """
    files = sorted(folder.glob("*.cedar"), key=lambda file: file.name)
    if not 0 < len(files) <= MAX_POLICY_FILES:
        raise RegistryError(f"{folder}: {len(files)} policy files (*.cedar), expected 1 to {MAX_POLICY_FILES}")
    return files


def load_registry(path: Path) -> Registry:
    """Return the registry in a file.  Raises `RegistryError` naming the file, the key and the reason."""
    return parse_registry(read_content(path), path)


def parse_registry(text: bytes, path: Path) -> Registry:
    """Return the registry that was read from `path`.  Raises as `load_registry`."""
    registry = validate(Registry, text, path)
    if found := problems(registry):
        raise RegistryError("\n".join(f"{path}: {problem}" for problem in found))
    return registry


def build_snapshot(
    deployment: Deployment,
    registry: Registry,
    *,
    approved: Mapping[str, Approved],
    enrolled: Mapping[str, str] = MappingProxyType({}),
) -> RegistrySnapshot:
    """Return the snapshot of a registry with this deployment.  `enrolled`: the pins that the registry does not have."""
    pins = dict(enrolled) | {
        name: server.spki_sha256 for name, server in registry.outside.items() if server.spki_sha256
    }
    places = {name: place.origin for name, place in deployment.parties.items() if registry.answers(name)}
    addresses = {name: registry.address(name) for name in places}
    return RegistrySnapshot(
        registry=registry,
        addresses=addresses,
        places=places,
        outside={
            name: OutsideServer(origin=origin, spki_sha256=pins[name])
            for name, origin in deployment.outside.items()
            if name in pins
        },
        approved=dict(approved),
    )
