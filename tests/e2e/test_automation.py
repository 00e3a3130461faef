"""A party operates by itself at the real Keycloak and the real registry; and what its token is good for elsewhere."""

import asyncio
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import zt.commands as program
import zt.itself as module
from start.system import System
from tests.support.realm import Realm, claims
from tests.support.svid import TrustDomain
from zerotrust.registry.model import Registry
from zerotrust.spiffe.svid import Svid

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

AUTOMATION = "automation/ci"
ITSELF = f"spiffe://agents.example/{AUTOMATION}"
AT_REGISTRY = "registry.suspend aud:authority/registry"


async def token(realm: Realm, scope: str = AT_REGISTRY, party: str = AUTOMATION) -> Any:
    return await realm.token(grant_type="client_credentials", scope=scope, **realm.credential(party))


@pytest.mark.parametrize(
    ("scope", "audience"), [(AT_REGISTRY, "registry"), ("policy.activate aud:authority/policy", "policy")]
)
async def test_its_token_is_its_own_for_one_authority_and_short(realm: Realm, scope: str, audience: str) -> None:
    answer = (await token(realm, scope)).json()
    said = claims(answer["access_token"])

    assert (said["sub"], said["azp"], said["client_id"]) == (ITSELF, ITSELF, ITSELF)
    assert (said["aud"], said["scope"]) == (
        f"spiffe://agents.example/authority/{audience}",
        scope.split(" ", maxsplit=1)[0],
    )
    assert (said["groups"], said["exp"] - said["iat"]) == ([], 60)
    assert not said.keys() & {"sid", "act", "lineage", "txn", "root", "realm_access", "resource_access"}
    assert "refresh_token" not in answer


@pytest.mark.parametrize(
    "scope", ["registry.admin", "policy.admin", "task.run", "tool.write", "aud:orchestrator", "offline_access"]
)
async def test_it_gets_nothing_beyond_its_registration(realm: Realm, scope: str) -> None:
    answer = await token(realm, f"{AT_REGISTRY} {scope}")

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


async def test_no_other_party_gets_such_a_token(realm: Realm, registry: Registry) -> None:
    confidential = [name for name, party in registry.parties.items() if party.keycloak == "confidential"]
    for party in {*confidential} - {AUTOMATION}:
        assert (await token(realm, party=party)).json()["error"] in {"unauthorized_client", "invalid_scope"}, party


async def test_nobody_exchanges_its_token_and_it_opens_nothing_at_keycloak(realm: Realm, registry: Registry) -> None:
    own = (await token(realm)).json()["access_token"]
    confidential = [name for name, party in registry.parties.items() if party.keycloak == "confidential"]

    for party in confidential:
        for audience, scope in (("authority/registry", "registry.suspend"), ("agent/reader", "registry.suspend")):
            answer = await realm.exchange(party, own, audience=audience, scope=scope)
            assert answer.status_code >= 400, party
    assert await realm.introspected("authority/registry", own) == {"active": False}
    userinfo = await realm.http.get(f"{realm.endpoint}/userinfo", headers={"authorization": f"Bearer {own}"})
    assert userinfo.status_code in {401, 403}


class Attested:
    """The identity of the party, as attestation would give it to its container."""

    def __init__(self, system: System, trust_domain: TrustDomain, party: str = AUTOMATION) -> None:
        self._system, self._trust_domain, self._party = system, trust_domain, party

    async def fetch(self) -> Svid:
        registry, issuer = self._system.registry, self._system.authority._issuer
        now, life = dt.datetime.now(dt.UTC), registry.freshness.x509_svid
        names = registry.dns_names(self._party)
        return Svid.from_der(*issuer.x509_svid(registry.id(self._party), *names, now=now, life=life), [issuer.ca_der])

    async def assertion(self, audience: str) -> str:
        return self._trust_domain.assertion(self._party, audience)

    def close(self) -> None:
        """Nothing is open."""


async def test_it_suspends_reinstates_revokes_and_activates_and_is_on_record_as_what_it_is(
    system: System, trust_domain: TrustDomain, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "Workload", lambda _: Attested(system, trust_domain))
    monkeypatch.setenv("ZT_CA", str(system.authority.ca_file))
    monkeypatch.setenv("ZT_AS", AUTOMATION)

    async def typed(*words: str, given: str = "") -> Any:
        done = await asyncio.to_thread(CliRunner().invoke, program.app, [*words, "--json"], given)
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    suspended = await typed("party", "suspend", "agent/writer", "--because", "a test")
    reinstated = await typed("party", "reinstate", "agent/writer")
    revoked = await typed("revoke", "session", "a-session", "--in-advance", "--because", "a test")
    version = (await typed("policy", "show"))["number"]
    content = (await typed("policy", "show"))["content"]
    content["policies"]["operators.cedar"] += "// A test.\n"
    activated = await typed("policy", "activate", "-", "--because", "a test", given=json.dumps(content))
    back = await typed("policy", "rollback", str(version), "--because", "the test has ended")

    assert suspended["party"]["cause"] == f"a test (operator {ITSELF})"
    assert (reinstated["party"]["state"], revoked["keycloak"].partition(":")[0]) == ("active", "not applicable")
    assert (activated["by"], back["by"], back["of"]) == (ITSELF, ITSELF, version)
    changes = [e for e in system.events("authority/registry") if getattr(e.data, "action", "") == "suspend"]
    caller = changes[-1].data.principal  # type: ignore[union-attr]
    assert caller
    assert (caller.subject, caller.party, caller.session) == (ITSELF, ITSELF, None)
