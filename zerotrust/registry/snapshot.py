"""What the registry says, signed: who exists, where each is found, and as what each was approved.  Pure.

Everybody takes it from there, never from the party itself.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from zerotrust.registry.directory import Directory, Endpoint
from zerotrust.registry.lock import Approved, Digest
from zerotrust.registry.model import Name, Registry, dns_name
from zerotrust.spiffe.statement import InvalidStatement

SNAPSHOT_TYPE = "agents-registry+jwt"
REGISTRY_PARTY, ATTESTATION_PARTY = "authority/registry", "authority/attestation"


class RegistrySnapshot(BaseModel):
    """One version of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    registry: Registry
    addresses: dict[Name, str]
    """The origin of each party that can be called, by its name in certificates: `https://name:port`.  It is the one
    name of a party's API, in URLs, in the `Host` header and in metadata."""
    places: dict[Name, str] = {}
    """Where a party listens, `https://host:port`, where its name does not lead there: only where to connect."""
    approved: dict[Name, Approved]
    policies: str = ""
    """The digest of the policies that everybody goes by."""
    read_from: dict[str, Digest] = {}
    """The files that all of this was read from, by name, with their SHA-256."""

    def called(self) -> dict[str, str]:
        """The address of each party by its SPIFFE ID."""
        return {self.registry.id(name): address for name, address in self.addresses.items()}

    def directory(self) -> Directory:
        """Whom there is to be called, and by which names in certificates they are known."""
        registry = self.registry
        names = {address: registry.dns_name(name) for name, address in self.addresses.items()}
        parties = {registry.dns_name(name): registry.id(name) for name in self.addresses}
        places = {_endpoint(self.addresses[name]): _endpoint(place) for name, place in self.places.items()}
        return Directory(names, parties, places)

    def as_payload(self) -> bytes:
        """As it is signed."""
        return orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)


def _endpoint(origin: str) -> Endpoint:
    url = urlsplit(origin)
    return str(url.hostname), url.port or 443


def bootstrap_directory(address: str, trust_domain: str) -> Directory:
    """Where the registry is, before it has said anything."""
    name = dns_name(REGISTRY_PARTY, trust_domain)
    return Directory({address: name}, {name: signer(trust_domain)})


def signer(trust_domain: str) -> str:
    """Whose word it is: the registry's SPIFFE ID."""
    return f"spiffe://{trust_domain}/{REGISTRY_PARTY}"


def parse_snapshot(payload: Mapping[str, object]) -> RegistrySnapshot:
    """Read a verified payload.  Raises `InvalidStatement` where it is no registry."""
    try:
        return RegistrySnapshot.model_validate_json(orjson.dumps(payload))
    except ValidationError as error:
        raise InvalidStatement(f"the registry's document: {error.errors()[0]['msg']}") from error
