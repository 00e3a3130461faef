"""Which parties can be called, by which names in certificates, and where to connect to.  Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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
