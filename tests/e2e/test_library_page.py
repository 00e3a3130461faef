"""The party of the page library.md, registered as it says: a user of the real Keycloak gets in, and nobody else."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from registration.realm import realm as derive
from start.keycloak.server import Keycloak
from testkit.browser import sign_in
from testkit.ca import CA
from testkit.party import Identity
from testkit.wire import FOREVER, MCPWire, Wire, fresh_revocations, lifespan
from tests.support.library_page import block, registered
from tests.support.real import imported
from tests.support.svid import TrustDomain
from zerotrust.registry.model import Approved
from zerotrust.registry.snapshot import RegistrySnapshot
from zerotrust.service import Service
from zerotrust.spiffe.svid import Peer
from zerotrust.transport.egress import EgressClients

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

QUOTES = "agent/quotes"


async def test_alice_gets_a_quote_with_a_token_for_it_and_with_no_other_one(
    keycloak: Keycloak, http: httpx.AsyncClient, trust_domain: TrustDomain, tmp_path: Path
) -> None:
    registry, policy = registered()
    here, apps, user, revocations = (
        registry.address(QUOTES),
        dict[str, ASGIApp](),
        Peer(None, FOREVER),
        fresh_revocations(),
    )
    snapshot = RegistrySnapshot(registry=registry, addresses={QUOTES: here}, approved={QUOTES: Approved()})
    wire, mcp_wire = Wire(apps, user), MCPWire(apps, user)
    exec(block("python", "A party"), typed := dict[str, Any](__name__="quotes"))  # noqa: S102 - what the page says
    async with imported(keycloak, http, trust_domain, derive(registry) | {"realm": "quotes"}) as realm:
        service = Service(
            QUOTES,
            snapshot=snapshot,
            policy=policy,
            revocations=revocations,
            issuer=realm.issuer,
            data=tmp_path,
            workload=Identity(CA(registry.trust_domain).svid(QUOTES)),
            egress=EgressClients(snapshot.callees(), revocations=revocations, transport=wire, mcp_transport=mcp_wire),
            identity_http=httpx.AsyncClient(verify=keycloak.tls, trust_env=False),
        )
        app = apps[here] = service.app_from(typed["create_app"])

        async def asked(client: str, scope: str) -> tuple[int, Any]:
            password = keycloak.passwords["alice"]
            login = await sign_in(realm.issuer, client, "alice", password, scope, verify=keycloak.tls)
            async with httpx.AsyncClient(transport=wire) as browser:
                answer = await browser.get(f"{here}/quotes/tea", auth=login.auth)
            return answer.status_code, answer.json().get("reason") or answer.json()["price"]

        async with lifespan(app):
            assert await asked("shop", "quote.read") == (200, 3)
            assert await asked("shop", "openid") == (403, "scope_missing")
            assert await asked("walkthrough", "task.run") == (401, "audience_mismatch")
