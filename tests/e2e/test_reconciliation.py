"""Exchanges as the real Keycloak tells of them: on record, and an alarm where an intruder made one by itself."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from start.system import System
from tests.support.real_tasks import task, traced
from tests.support.realm import Realm, claims
from zerotrust.audit.event_types import Alarm, Exchange, Issued, IssuedToken

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

SECONDS = 60
"""How long anything may take on a busy machine; nothing fails sooner."""
ORCHESTRATOR, READER = "spiffe://agents.example/orchestrator", "spiffe://agents.example/agent/reader"


def issued(system: System) -> Iterator[IssuedToken]:
    found = (event.data for event in system.events("authority/registry"))
    return (token for data in found if isinstance(data, Issued) for token in data.tokens or ())


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


def alarms(system: System) -> list[Alarm]:
    return [event.data for event in system.events("authority/audit") if isinstance(event.data, Alarm)]


async def test_an_exchange_by_an_intruder_raises_an_alarm_and_those_of_a_task_do_not(
    real: System, realm: Realm
) -> None:
    """The task comes first: the alarm about what was made after it shows that its exchanges were compared, too."""
    exchanged = {
        event.data.token_id
        for event in traced(real, (await task(real, "alice"))["result"]["trace_id"])
        if isinstance(event.data, Exchange)
    }
    assert len(exchanged) > 2
    began, made = time.monotonic(), dict[object, object]()

    async with asyncio.timeout(5 * SECONDS):
        while not (found := [alarm for alarm in alarms(real) if alarm.token_id in made]):
            if time.monotonic() >= began + len(made) * SECONDS:  # of many in a minute only the first are told
                one = await behind_the_back(real, realm)
                made[one["jti"]] = one["sub"]
            await asyncio.sleep(0.2)

    assert (found[0].party, found[0].subject) == (ORCHESTRATOR, made[found[0].token_id])
    assert exchanged.isdisjoint(alarm.token_id for alarm in alarms(real))
