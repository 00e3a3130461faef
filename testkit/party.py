"""One party in this process, behind its gate: real tokens, keys, policies and journal, and no network."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from starlette.types import ASGIApp

from testkit.ca import CA
from testkit.issuer import ISSUER, Issuer
from testkit.registry import CLIENT, policies_of, registry_of
from testkit.wire import FOREVER, MCPWire, Wire, fresh_revocations, lifespan
from zerotrust.audit.event import AuditEvent
from zerotrust.identity import Principal
from zerotrust.registry.model import Approved
from zerotrust.registry.snapshot import PolicyDocument, RegistrySnapshot
from zerotrust.revocation import Revocations
from zerotrust.runtime import policy_of
from zerotrust.service import Service
from zerotrust.spiffe.svid import Peer, Svid
from zerotrust.transport.egress import EgressClients
from zt.audit.journals import events


class Identity:
    """Replaces the Workload API: one SVID, and assertions that the issuer of `testkit` accepts."""

    def __init__(self, svid: Svid) -> None:
        self.svid = svid

    async def assertion(self, audience: str) -> str:
        """Return an assertion of this identity, for that issuer alone."""
        return f"assertion of {self.svid.id if audience == ISSUER else 'unknown'}"


@dataclass(frozen=True)
class Guarded:
    """The party under test, with its issuer, its peers and its revocations."""

    service: Service
    issuer: Issuer
    apps: dict[str, ASGIApp]
    """The app at each origin; add one for each party that is called."""
    revocations: Revocations

    def token(self, **changed: Any) -> str:
        """Return a user's token for this party, valid except for the `changed` claims; None leaves one out."""
        return self.issuer.token(**changed)

    def client(self, token: str | None = None, *, peer: str | None = None) -> httpx.AsyncClient:
        """Return a client of this party; `peer` is the name of the party whose certificate it shows, if any."""
        shown = Peer(self.service.registry.id(peer), FOREVER) if peer else Peer(None, FOREVER)
        auth = self.issuer.presenting(token, shown) if token else None
        address = self.service.addresses[self.service.name]
        return httpx.AsyncClient(transport=Wire(self.apps, shown), base_url=address, auth=auth)

    def records(self) -> list[AuditEvent]:
        """Return the events of this party's journal."""
        return list(events(self.service.data / "journal.jsonl"))


@asynccontextmanager
async def guarded(  # noqa: PLR0913 - its dependencies, each by name
    name: str,
    create_app: Callable[[Service], ASGIApp],
    *,
    data: Path,
    scopes: Iterable[str],
    calls: Mapping[str, Iterable[str]] | None = None,
    policies: PolicyDocument | None = None,
) -> AsyncIterator[Guarded]:
    """Run the party `name` for a block; users of one client may call it with `scopes`.

    `data` is a folder for its journal.  `calls`: the parties that it calls, and the scopes that each serves; put their
    apps into `Guarded.apps`.  `policies`: by default, the calls that the registry allows, and no resource.
    """
    registry = registry_of(name, [*scopes], calls={party: [*of] for party, of in (calls or {}).items()})
    issuer, revocations = Issuer(registry), fresh_revocations()
    origin = urlsplit(ISSUER)
    apps: dict[str, ASGIApp] = {f"{origin.scheme}://{origin.netloc}": issuer.app}
    addresses = {party: registry.address(party) for party in registry.services}
    snapshot = RegistrySnapshot(registry=registry, addresses=addresses, approved=dict.fromkeys(addresses, Approved()))
    peer = Peer(registry.id(name), FOREVER)
    wire, mcp_wire = Wire(apps, peer), MCPWire(apps, peer)
    service = Service(
        name,
        snapshot=snapshot,
        policy=policy_of(policies or policies_of(registry), registry),
        revocations=revocations,
        issuer=ISSUER,
        data=data,
        workload=Identity(CA(registry.trust_domain).svid(name)),
        egress=EgressClients(snapshot.callees(), revocations=revocations, transport=wire, mcp_transport=mcp_wire),
        identity_http=httpx.AsyncClient(transport=wire),
    )
    try:
        app = apps[addresses[name]] = service.app_from(create_app)
    except BaseException:
        service.recorder.close()  # otherwise the app does so at its end
        raise
    async with lifespan(app):
        yield Guarded(service, issuer, apps, revocations)


def principal(**changed: Any) -> Principal:
    """Return a verified caller, for tests of what is behind a gate: a user at their own client, except for `changed`.

    It was issued at 0, for a minute.  The party that presents it is the first of the `actors`, if there are any.
    """
    good: dict[str, Any] = {
        "subject": "alice",
        "party": changed["actors"][0] if changed.get("actors") else CLIENT,
        "actors": (),
        "audience": "spiffe://test.example/party",
        "scopes": frozenset(),
        "groups": frozenset({"/team"}),
        "token_id": "T0",
        "lineage": (),
        "client": CLIENT,
        "chain_started_at": 0,
        "session": "session-1",
        "issued_at": 0,
        "expires_at": 60,
        "token": "the.secret.itself",
    }
    return Principal(**good | changed)
