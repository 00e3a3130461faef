"""Which parties can be called, by which names in certificates, and where to connect to.  Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Endpoint = tuple[str, int]
"""A host, by name or address, and a port."""


@dataclass(frozen=True, slots=True)
class Directory:
    """Whom there is to be called."""

    names: Mapping[str, str]
    """The DNS name of whoever is found at each origin; a call to any other origin is not made."""
    parties: Mapping[str, str]
    """The SPIFFE ID that belongs to each DNS name."""
    places: Mapping[str, Endpoint] = field(default_factory=dict)
    """Where to connect to for a DNS name that does not lead there by itself."""
    outside: Mapping[str, str] = field(default_factory=dict)
    """The SHA-256 of the key, in hex, of each server at an origin that is no party's."""
