"""Operates as a party of the registry, by its own identity and for no user: `zt --as automation/ci`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx

from zerotrust.decision import Denied, Reason
from zerotrust.hardening.pools import Connections, origin
from zerotrust.issuer.client import IssuerClient
from zerotrust.issuer.discovery import Discovery
from zerotrust.limits.answers import SECONDS
from zerotrust.registry.snapshot import Directory
from zerotrust.spiffe.svid import Svid, WorkloadError
from zerotrust.spiffe.tls import issuer_context
from zerotrust.spiffe.workload import SECONDS_BETWEEN_TRIES, Workload
from zt.errors import CommandError
from zt.people.authorities import Place
from zt.people.authority_client import AuthorityClient
from zt.people.login import issuer_endpoint, refusal

C = TypeVar("C", bound=AuthorityClient)

SECONDS_TO_BE_ATTESTED = 60
"""For an answer of the Workload API: attestation reads all files of a container that it has not seen before."""
SECONDS_TO_BE_KNOWN = 15
"""For an identity: SPIRE's agent learns of a new pod some seconds late, and until then gives it none."""


@asynccontextmanager
async def party_session(kind: type[C], place: Place, name: str) -> AsyncIterator[C]:
    """Give a client of an authority to the party `name`, which this process has to be.

    Its token is for that authority, with what the registry lets the party do there (RFC 6749 section 4.4).
    Raises `CommandError`.
    """
    address, registry = place.address(kind.door), place.known
    at, party = registry.scopes[kind.door.scope].served_by[0], registry.parties.get(name)
    scopes = {*registry.scopes_at(at)}.intersection(party.delegates) if party and party.operates else set()
    if not scopes:
        why = f"registry.yaml lets {name} do nothing at {kind.door.called} by itself (`operates`, `delegates`)."
        raise CommandError(why, "not_operating")
    workload = Workload(SECONDS_TO_BE_ATTESTED)
    try:
        svid = await _svid(workload)
        if svid.id != registry.id(name):
            raise CommandError(f"This process is {svid.id}, and not {name}.", "no_identity")
        url, there = httpx.URL(place.issuer), issuer_endpoint()
        to_issuer = Directory({origin(url): url.host}, {}, {url.host: there} if there else {})
        async with _http(Connections(to_issuer, svid, issuer_context)) as http:
            issuer = IssuerClient(Discovery(place.issuer, http=http), workload, http)
            form = {"grant_type": "client_credentials", "scope": " ".join(sorted({*scopes, f"aud:{at}"}))}
            status, answer = await issuer.post("token_endpoint", form)
        if status != 200:
            raise Denied(Reason.IDENTITY_UNAVAILABLE, refusal(answer))
        # A bearer token (RFC 6750 section 2.1), which works only over the certificate of this connection.
        bearer = {"authorization": f"Bearer {answer['access_token']}"}
        async with _http(Connections(place.directory, svid), headers=bearer) as http:
            yield kind(address, http, name, None)
    except WorkloadError as error:
        why = f"Attestation gives this process no identity ({error}): see docs/how-to/operate.md."
        raise CommandError(why, "no_identity") from error
    except Denied as refused:
        raise CommandError(f"Keycloak gave {name} no token: {refused.detail}.", "not_signed_in") from refused
    finally:
        workload.close()


async def _svid(workload: Workload) -> Svid:
    """Return this process's SVID; ask each second until there is one.  Raises `WorkloadError`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + SECONDS_TO_BE_KNOWN
    while True:
        try:
            return await workload.fetch()
        except WorkloadError:
            if loop.time() >= end:
                raise
        await asyncio.sleep(SECONDS_BETWEEN_TRIES)


def _http(connections: Connections, **more: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=connections, timeout=SECONDS, **more)
