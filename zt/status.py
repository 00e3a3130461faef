"""Shows a system from outside: which parties answer, and whether each proves its identity.

A TLS handshake shows that.  It needs neither a certificate nor a token, and nothing is sent after it.
"""

import asyncio
import socket
import ssl
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from zerotrust.authority.names import short
from zerotrust.registry.snapshot import Endpoint
from zerotrust.spiffe.tls import user_context
from zt.people.authorities import REGISTRY, Place
from zt.people.authority_client import EXPIRED
from zt.people.login import issuer_endpoint

SECONDS = 5
"""For a handshake."""
KEYCLOAK = "keycloak"

State = Literal["verified", "expired", "unverified", "unreachable", "unresolved"]


@dataclass(frozen=True, slots=True)
class Status:
    """A party as seen from here."""

    name: str
    at: str
    state: State


async def check_parties(place: Place, by_name: ssl.SSLContext) -> list[Status]:
    """Return what all parties of a system look like: Keycloak and the authorities first.

    `by_name`: the context of connections to those whose certificate has a DNS name and no SPIFFE ID.
    Raises `OSError` if the certificate authority cannot be read.
    """
    parties, places = place.directory.parties, place.directory.places
    pinned = user_context(place.ca.read_text(), parties)
    keycloak = urlsplit(place.issuer)
    host = str(keycloak.hostname)
    who = {KEYCLOAK: (host, issuer_endpoint() or (host, keycloak.port or 443), by_name)}
    if place.attestation:
        name, dns_name, at = place.attestation
        who[name] = dns_name, at, by_name
    registry = place.directory.names[place.address(REGISTRY)]
    for dns_name in sorted(places, key=lambda one: (one != registry, parties[one])):
        who[short(parties[dns_name])] = dns_name, places[dns_name], pinned
    states = await asyncio.gather(*(_state(*one) for one in who.values()))
    return [
        Status(name, f"{at[0]}:{at[1]}", state) for (name, (_, at, _)), state in zip(who.items(), states, strict=True)
    ]


async def _state(name: str, at: Endpoint, context: ssl.SSLContext) -> State:
    try:
        async with asyncio.timeout(SECONDS):
            _, writer = await asyncio.open_connection(*at, ssl=context, server_hostname=name)
    except ssl.SSLCertVerificationError as error:
        return "expired" if getattr(error, "verify_code", None) == EXPIRED else "unverified"
    except socket.gaierror:  # of a network that this machine, or this container, is not in
        return "unresolved"
    except (OSError, TimeoutError):
        return "unreachable"
    writer.transport.abort()
    return "verified"
