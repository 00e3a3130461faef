"""Reads an address file, such as `start/generated/local.yaml`: where parties run.

The file is not trusted: a server proves its identity.

An invalid one is refused with file, key and reason.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from zerotrust.authority.files.reading import RegistryError, read_content, validate
from zerotrust.registry.model import Entry, Name, Port, Registry


class Place(Entry):
    """Where a party listens."""

    host: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]
    port: Port

    @property
    def origin(self) -> str:
        """The address to connect to, as a URL.  It says nothing about identity."""
        return f"https://{self.host}:{self.port}"


class Deployment(Entry):
    """The whole file."""

    parties: dict[Name, Place]
    outside: dict[Name, Annotated[str, Field(pattern=r"^https://[a-z0-9.-]+(:[0-9]+)?$")]] = Field(default={})
    """The origin of each outside server."""


def listening(registry: Registry) -> list[str]:
    """Return the parties that listen: those with a certificate that run for as long as the system does."""
    return [name for name, party in registry.parties.items() if party.id == "spiffe" and not party.operates]


def load_deployment(path: Path, registry: Registry) -> Deployment:
    """Return where a registry's parties run.  Raises `RegistryError` naming the file, the key and the reason."""
    found = validate(Deployment, read_content(path), path)
    differing = {*listening(registry)} ^ found.parties.keys() | registry.outside.keys() ^ found.outside.keys()
    if differing:
        raise RegistryError(f"{path}: differs from the registry in {', '.join(sorted(differing))}: run `make register`")
    return found
