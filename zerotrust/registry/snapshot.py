"""The documents of the registry's feed: the snapshot of the registry, and the policies.  Pure.

Parties take them from the feed only, never from a file or from the party that they describe.
"""

import hashlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated
from urllib.parse import urlsplit

import orjson
from pydantic import BaseModel, ConfigDict, Field

from zerotrust.registry.model import Approved, Digest, Entry, Name, Pin, Registry, dns_name

MAX_POLICY = 64 * 1024
"""Characters of policies, or of their schema.  A party checks and parses them in one pass of its event loop."""

Endpoint = tuple[str, int]
"""A host, by name or address, and a port."""


@dataclass(frozen=True, slots=True)
class Directory:
    """The parties and outside servers that can be called."""

    names: Mapping[str, str]
    """The DNS name of the party at each origin; calls to other origins are refused."""
    parties: Mapping[str, str]
    """The SPIFFE ID that belongs to each DNS name."""
    places: Mapping[str, Endpoint] = field(default_factory=dict)
    """The endpoint to connect to, for each DNS name that does not resolve to it."""
    outside: Mapping[str, str] = field(default_factory=dict)
    """The SHA-256, in hex, of the key of each outside server, by its origin."""


class Document(BaseModel):
    """One version of a document that the feed sends whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def digest(self) -> str:
        """The SHA-256 of its content."""
        content = orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(content).hexdigest()


class PolicyDocument(Document):
    """One version of the policies, as text, which `CedarPolicy` validates."""

    policies: Annotated[str, Field(max_length=MAX_POLICY)]
    cedar_schema: Annotated[str, Field(max_length=MAX_POLICY)]


class OutsideServer(Entry):
    """Where an outside server is, and the key that identifies it."""

    origin: str
    spki_sha256: Pin


class RegistrySnapshot(Document):
    """One version of the registry."""

    registry: Registry
    addresses: dict[Name, str]
    """The origin of each party that answers calls, by its name in certificates: `https://name`.  It names a party's API
    in URLs, in the `Host` header and in metadata."""
    places: dict[Name, str] = {}
    """Where a party listens, `https://host:port`, if its name does not resolve to that: only to connect to."""
    outside: dict[Name, OutsideServer] = {}
    """The outside servers whose keys are known; no party connects to any other."""
    approved: dict[Name, Approved]
    read_from: dict[str, Digest] = {}
    """The SHA-256 of each file that this was read from, by name."""

    def callees(self) -> dict[str, str]:
        """Return the address of each party, and each outside server, that tokens are sent to, by its identifier."""
        servers = self.registry.outside
        outside = {name: server.origin for name, server in self.outside.items() if servers[name].takes_tokens}
        addresses = {name: address for name, address in self.addresses.items() if self.registry.serves(name)}
        return {self.registry.id(name): address for name, address in (addresses | outside).items()}

    def outside_of(self, caller: str) -> dict[str, OutsideServer]:
        """Return the outside servers that this party may connect to, by name."""
        servers = self.registry.outside
        # control: outside-for-one-party
        return {name: server for name, server in self.outside.items() if servers[name].reached_by == caller}

    def authorities(self) -> Directory:
        """Return the directory of the authorities that every party may connect to by its certificate, without a token.

        They are the registry, the audit log and the policy authority, which answers AuthZEN.
        """
        own = self.registry.authorities
        return self._directory({own.registry, own.audit, own.policy})

    def directory(self, caller: str | None = None) -> Directory:
        """Return the directory of what `caller` may call and connect to; without a caller, of all parties."""
        party = self.registry.parties.get(caller) if caller else None
        may_call = set(party.may_call if party else []) if caller else set(self.addresses)
        return self._directory(may_call, self.outside_of(caller) if caller else {})

    def _directory(
        self, parties: AbstractSet[str], reached: Mapping[str, OutsideServer] = MappingProxyType({})
    ) -> Directory:
        registry, callees = self.registry, parties & self.addresses.keys()
        names = {self.addresses[name]: registry.dns_name(name) for name in callees}
        ids = {registry.dns_name(name): registry.id(name) for name in callees}
        places = {registry.dns_name(name): _endpoint(self.places[name]) for name in callees & self.places.keys()}
        outside = {server.origin: server.spki_sha256 for server in reached.values()}
        return Directory(names, ids, places, outside)


def _endpoint(origin: str) -> Endpoint:
    url = urlsplit(origin)
    return str(url.hostname), url.port or 443


def bootstrap_directory(address: str, party: str, trust_domain: str) -> Directory:
    """Return a directory of the registry alone, for use before it sends a snapshot."""
    name = dns_name(party, trust_domain)
    return Directory({address: name}, {name: f"spiffe://{trust_domain}/{party}"})
