"""Reads the deployment, `start/local.yaml`: where parties run.  It is not trusted: a server proves its identity.

An invalid file is refused with file, key and reason.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from zerotrust.authority.files.reading import RegistryError, read_content, validate
from zerotrust.registry.model import Entry, Name, Registry


class Place(Entry):
    """Where a party listens."""

    host: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]
    port: Annotated[int, Field(ge=1, le=65535)]

    @property
    def origin(self) -> str:
        """The address to connect to, as a URL.  It says nothing about identity."""
        return f"https://{self.host}:{self.port}"


class Deployment(Entry):
    """The whole file."""

    parties: dict[Name, Place]
    outside: dict[Name, Annotated[str, Field(pattern=r"^https://[a-z0-9.-]+(:[0-9]+)?$")]] = Field(default={})
    """The origin of each outside server."""


def load_deployment(path: Path, registry: Registry) -> Deployment:
    """Return where a registry's parties run.  Raises `RegistryError` naming the file, the key and the reason."""
    found = validate(Deployment, read_content(path), path)
    if problems := [*_name_problems(found, registry), *_place_problems(found)]:
        raise RegistryError("\n".join(f"{path}: {problem}" for problem in problems))
    return found


def _name_problems(found: Deployment, registry: Registry) -> list[str]:
    listening = {name for name, party in registry.parties.items() if party.id == "spiffe" and not party.operates}
    return [
        f"parties.{name}: {'missing' if name in listening else 'not a party of the registry that listens'}"
        for name in sorted(listening ^ found.parties.keys())
    ] + [
        f"outside.{name}: {'missing' if name in registry.outside else 'not in the registry'}"
        for name in sorted(registry.outside.keys() ^ found.outside.keys())
    ]


def _place_problems(found: Deployment) -> list[str]:
    seen: dict[str, str] = {}
    places = {f"parties.{name}": place.origin for name, place in found.parties.items()}
    places |= {f"outside.{name}": origin for name, origin in found.outside.items()}
    return [
        f"{key}: {origin} is already used by {other}"
        for key, origin in places.items()
        if (other := seen.setdefault(origin, key)) != key
    ]
