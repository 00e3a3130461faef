"""The documents of the registry's feed: who exists, where, as what each was approved, and the policies.

Everybody takes them from there: never from the party itself, and never from a file.
"""

import hashlib
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

import orjson
from pydantic import BaseModel, ConfigDict, Field

from zerotrust.registry.deployment import Deployment
from zerotrust.registry.directory import Directory, Endpoint
from zerotrust.registry.lock import Approved, Digest
from zerotrust.registry.model import Name, Registry, dns_name

MAX_POLICY = 64 * 1024
"""Characters of policies, or of their schema.  Every party checks and parses them without a pause: 0.15 s at most."""


class Document(BaseModel):
    """One version of what the feed sends whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def digest(self) -> str:
        """SHA-256 over what it says: the same for the same."""
        said = orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(said).hexdigest()


class PolicyDocument(Document):
    """One version of the policies, as text; whether they are fit, `CedarPolicy` says."""

    policies: Annotated[str, Field(max_length=MAX_POLICY)]
    cedar_schema: Annotated[str, Field(max_length=MAX_POLICY)]


class RegistrySnapshot(Document):
    """One version of the registry."""

    registry: Registry
    addresses: dict[Name, str]
    """The origin of each party that can be called, by its name in certificates: `https://name`.  It names a party's API
    in URLs, in the `Host` header and in metadata."""
    places: dict[Name, str] = {}
    """Where a party listens, `https://host:port`, where its name does not lead there: only where to connect."""
    outside: dict[Name, str] = {}
    """The origin of each server outside."""
    approved: dict[Name, Approved]
    read_from: dict[str, Digest] = {}
    """The files that all of this was read from, by name, with their SHA-256."""

    def called(self) -> dict[str, str]:
        """The address of each party by its SPIFFE ID."""
        return {self.registry.id(name): address for name, address in self.addresses.items()}

    def outside_of(self, caller: str) -> dict[str, str]:
        """The origins of the servers outside that this party reaches, by their names."""
        servers = self.registry.outside
        # control: outside-for-one-party
        return {name: origin for name, origin in self.outside.items() if servers[name].reached_by == caller}

    def directory(self, caller: str | None = None) -> Directory:
        """Whom this party may call, or who can be called at all, and by what they are known."""
        registry = self.registry
        callees = set(self.addresses)
        if caller:
            party = registry.parties.get(caller)
            callees &= set(party.may_call if party else [])
        names = {self.addresses[name]: registry.dns_name(name) for name in callees}
        parties = {registry.dns_name(name): registry.id(name) for name in callees}
        places = {registry.dns_name(name): _endpoint(self.places[name]) for name in callees & self.places.keys()}
        reached = self.outside_of(caller) if caller else {}
        outside = {origin: registry.outside[name].spki_sha256 for name, origin in reached.items()}
        return Directory(names, parties, places, outside)


def deployed_at(deployment: Deployment, registry: Registry, *, approved: Mapping[str, Approved]) -> RegistrySnapshot:
    """What is said of a registry whose parties run there."""
    places = {name: place.origin for name, place in deployment.parties.items() if registry.serves(name)}
    addresses = {name: registry.address(name) for name in places}
    return RegistrySnapshot(
        registry=registry,
        addresses=addresses,
        places=places,
        outside=deployment.outside,
        approved=dict(approved),
    )


def _endpoint(origin: str) -> Endpoint:
    url = urlsplit(origin)
    return str(url.hostname), url.port or 443


def bootstrap_directory(address: str, party: str, trust_domain: str) -> Directory:
    """Return a directory of the registry alone, the party of that name, for use before it has sent any."""
    name = dns_name(party, trust_domain)
    return Directory({address: name}, {name: f"spiffe://{trust_domain}/{party}"})
