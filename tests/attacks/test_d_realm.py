"""D. Replay, at the real Keycloak: a client assertion that somebody has read somewhere."""

from typing import Any

import pytest

from tests.support.attack_realm import READING, Target, Tried, Tries, alive, attack
from tests.support.svid import TrustDomain

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

ORCHESTRATOR, READER = "orchestrator", "agent/reader"


@attack(42)
async def test_a_client_assertion_is_used_again(target: Target) -> Tries:
    """Within its 60 s Keycloak takes it again: whoever has the subject token, too, gets a token that is bound to whom
    the assertion names.  Later, elsewhere and for somebody else it is refused."""
    t0 = await target.t0()
    good = target.realm.credential(ORCHESTRATOR)

    async def asked(assertion: str) -> Any:
        form = target.realm.form(ORCHESTRATOR, t0, audience=READER, scope=READING)
        return await target.realm.token(**form | {"client_assertion": assertion})

    for _ in range(2):
        assert alive(await asked(good["client_assertion"]))
    domain = target.trust_domain
    issuer, endpoint = target.realm.issuer, f"{target.realm.endpoint}/token"
    for assertion in (
        domain.assertion(ORCHESTRATOR, issuer, age=100, life=60),
        domain.assertion(ORCHESTRATOR, issuer, age=400, life=3600),
        domain.assertion(ORCHESTRATOR, endpoint),
        domain.assertion(ORCHESTRATOR, issuer.replace("agents", "elsewhere")),
        domain.assertion("agent/nobody", issuer),
        TrustDomain(target.registry).assertion(ORCHESTRATOR, issuer),  # of another authority's making
    ):
        answer = await asked(assertion)
        yield Tried(answer, alive(answer))
    form = target.realm.form(ORCHESTRATOR, t0, audience=READER, scope=READING)
    answer = await target.realm.token(**form | {"client_id": target.realm.id(READER)})
    yield Tried(answer, alive(answer))
