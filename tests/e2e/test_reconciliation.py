"""Exchanges as the real Keycloak tells of them: the registry records each, also one that no service asked for."""

import asyncio
from collections.abc import Iterator

import pytest

from local.system import System
from tests.support.realm import Realm, claims
from zerotrust.audit.chain import events
from zerotrust.audit.event import Issued, IssuedToken

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

SECONDS = 60
"""How long anything may take on a busy machine; nothing fails sooner."""
ORCHESTRATOR, READER = "spiffe://agents.example/orchestrator", "spiffe://agents.example/agent/reader"


def issued(system: System) -> Iterator[IssuedToken]:
    journal = system.data("authority/registry") / "journal.jsonl"
    return (token for event in events(journal) if isinstance(event.data, Issued) for token in event.data.tokens or ())


async def behind_the_back(system: System, realm: Realm) -> dict[str, object]:
    """Exchange alice's token as an intruder inside the orchestrator does; return the new one's claims."""
    login = await system.sign_in("alice")
    credential = {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe",
        "client_assertion": await system.assertion("orchestrator"),
    }
    form = realm.form("orchestrator", login.access_token, audience="agent/reader", scope="agent.invoke")
    answer = await realm.token(**form | credential)
    assert answer.status_code == 200, answer.text
    return claims(answer.json()["access_token"])


async def test_the_registry_records_what_keycloak_says_of_an_exchange(real: System, realm: Realm) -> None:
    made = await behind_the_back(real, realm)

    async with asyncio.timeout(SECONDS):
        while not (found := [token for token in issued(real) if token.token_id == made["jti"]]):
            await asyncio.sleep(0.1)
    [token] = found
    assert (token.client, token.audience, token.subject) == (ORCHESTRATOR, READER, made["sub"])
    assert abs(token.time / 1_000_000 - float(str(made["iat"]))) < 5
