"""M, at the real Keycloak: what a stolen key of the trust domain would be worth there."""

from typing import Any

import pytest

from lab.realm import ASSERTION_AGE
from tests.support.attack_realm import READING, Target, Tried, Tries, alive, attack

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

ORCHESTRATOR, READER = "orchestrator", "agent/reader"
DAY = 86400


@attack(132)
async def test_a_jwt_svid_of_a_long_life(target: Target) -> Tries:
    """Keycloak does not look at the whole life, but at the age: what was issued more than 60 s ago is refused."""
    t0, issuer = await target.t0(), target.realm.issuer

    async def asked(age: int) -> Any:
        form = target.realm.form(ORCHESTRATOR, t0, audience=READER, scope=READING)
        assertion = target.trust_domain.assertion(ORCHESTRATOR, issuer, age=age, life=DAY)
        return await target.realm.token(**form | {"client_assertion": assertion})

    for age in (62, 100, DAY // 2):
        answer = await asked(age)
        yield Tried(answer, alive(answer)).stopped_by(str(ASSERTION_AGE))
    for ahead in (DAY // 24, DAY):  # issued in the future: to be of use for longer
        answer = await asked(-ahead)
        yield Tried(answer, alive(answer)).stopped_by("Keycloak: no assertion issued in the future")
