"""A service that is secured without thinking of what it costs: it asks Keycloak about every token, and makes a new
client for each call."""

from collections.abc import Callable
from typing import Any

import httpx
import httpx2

from zerotrust.decision import PolicyEngine
from zerotrust.registry.directory import Directory
from zerotrust.registry.snapshot import RegistrySnapshot
from zerotrust.service import Service
from zerotrust.spiffe.tls import issuer_context
from zerotrust.transport.egress import EgressClients
from zerotrust.transport.pools import Connections, MCPConnections, origin


class _New:
    """Uses a new TLS context, pool and connection for each call, as a new client would."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    async def handle_async_request(self, request: Any) -> Any:
        async with self._make() as once:
            answer = await once.handle_async_request(request)
            await answer.aread()
        return answer


class _NewHttp(_New, httpx.AsyncBaseTransport):
    """For the HTTP client of ours, and of the A2A SDK."""


class _NewMcp(_New, httpx2.AsyncBaseTransport):
    """For the HTTP client of the MCP SDK."""


class Naive(Service):
    """The real gate, to which every permission is of high risk, so that it introspects every token (RFC 7662); no
    connection is ever used again."""

    def __init__(self, name: str, **parts: Any) -> None:
        snapshot, workload, issuer = _high_risk(parts["snapshot"]), parts["workload"], httpx.URL(parts["issuer"])
        directory, at_issuer = snapshot.directory(), Directory({origin(issuer): issuer.host}, {})
        parts["snapshot"] = snapshot
        parts["egress"] = EgressClients(
            snapshot.called(),
            revocations=parts["revocations"],
            transport=_NewHttp(lambda: Connections(directory, workload.svid)),
            mcp_transport=_NewMcp(lambda: MCPConnections(directory, workload.svid)),
        )
        parts["identity_http"] = httpx.AsyncClient(
            transport=_NewHttp(lambda: Connections(at_issuer, workload.svid, issuer_context)), timeout=10
        )
        super().__init__(name, **parts)

    def use(self, snapshot: RegistrySnapshot, policy: PolicyEngine) -> None:
        """Stay naive."""
        super().use(_high_risk(snapshot), policy)


def _high_risk(snapshot: RegistrySnapshot) -> RegistrySnapshot:
    scopes = {name: scope.model_copy(update={"high_risk": True}) for name, scope in snapshot.registry.scopes.items()}
    return snapshot.model_copy(update={"registry": snapshot.registry.model_copy(update={"scopes": scopes})})
