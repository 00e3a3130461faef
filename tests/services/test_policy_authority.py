"""The policies on their whole way: from the policy authority through the registry to services."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from authorities.policy import publisher as module
from authorities.policy.main import bundle_in_force
from authorities.policy.reasons import PolicyReason
from authorities.policy.versions import Version, content_of
from authorities.registry.policies import PATH as POLICY_AT
from testkit import principal
from tests.support.ca import REGISTRY_PARTY, the_ca, workload
from tests.support.feed import beat, followed, line, policy_line, registry_line
from tests.support.issuer import Issuer
from tests.support.policies import AUTHORITY, signed, versions_in
from tests.support.registry_authority import ADDRESS, NAME, Authority, authority_in
from tests.support.system import POLICIES, POLICY, System, Wire, fresh_revocations, svid_of
from zerotrust.decision import Decision, Denied, Reason, ReasonCode
from zerotrust.registry.events import document, one_change, state
from zerotrust.registry.feed import RegistryFeed
from zerotrust.registry.topics import POLICY as POLICY_TOPIC
from zerotrust.registry.topics import REVOCATIONS
from zerotrust.revocation_list import Revocable
from zerotrust.spiffe.svid import Svid

ME = "spiffe://agents.example/authority/registry"
STRICTER = POLICY.model_copy(update={"policies": POLICY.policies + "// stricter"})


class Way:
    """A policy authority whose calls lead to a registry in this process."""

    def __init__(self, folder: Path, registry: Authority) -> None:
        self.versions = versions_in(folder / "versions", content_of(POLICIES))
        self.svid: Svid = the_ca().svid(AUTHORITY)
        self.sent: list[bytes] = []
        self.away = False
        self._wire = Wire({ADDRESS: registry.app}, workload(AUTHORITY))
        self.publisher = module.Publisher(
            ADDRESS,
            http=httpx.AsyncClient(transport=httpx.MockTransport(self._to_registry)),
            identity=lambda: self.svid,
            active=self._on_record,
            clock=time.time,
        )

    async def _on_record(self) -> Version:
        return self.versions.active

    async def _to_registry(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request.content)
        assert request.url == ADDRESS + POLICY_AT
        if self.away:
            raise httpx.ConnectError("nobody there")
        answer = await self._wire.handle_async_request(request)
        return httpx.Response(answer.status_code, content=await answer.aread())

    def more(self, comment: str) -> Version:
        """A further version, which says the same."""
        content = self.versions.active.content
        policies = content.policies | {"zz.cedar": f"// {comment}"}
        return self.versions.use(
            self.versions.add(content.model_copy(update={"policies": policies}), by="olga", why=comment)
        )


@pytest.fixture
async def taking(tmp_path: Path, issuer: Issuer) -> AsyncIterator[Authority]:
    async with authority_in(tmp_path, issuer) as authority:
        yield authority


@pytest.fixture
def way(tmp_path: Path, taking: Authority) -> Way:
    return Way(tmp_path, taking)


def in_use(registry: Authority) -> str:
    """Which policies the registry itself decides by."""
    return registry.system.services[NAME]._decider.policy.version


async def test_a_version_is_published_when_the_registry_has_taken_it(way: Way, taking: Authority) -> None:
    version = way.more("second")

    await way.publisher.publish(version)

    assert in_use(taking) == version.name
    await way.publisher.publish(version)
    assert way.sent[0] == way.sent[1]  # the same text, which the registry knows


async def test_a_version_that_the_registry_has_had_a_newer_one_of_is_refused_for_good(
    way: Way, taking: Authority
) -> None:
    assert (await taking.bring(signed(STRICTER, 9))).status_code == 204

    with pytest.raises(Denied, match="is not newer than 9") as refused:
        await way.publisher.publish(way.versions.active)
    assert refused.value.reason is PolicyReason.POLICY_UNFIT


async def test_a_registry_that_is_away_has_refused_nothing(way: Way) -> None:
    way.away = True

    with pytest.raises(Denied) as refused:
        await way.publisher.publish(way.versions.active)
    assert (refused.value.reason, refused.value.status) == (PolicyReason.REGISTRY_UNAVAILABLE, 503)


async def test_it_is_published_again_after_a_failure_and_signed_anew_with_each_certificate(
    way: Way, taking: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS_AFTER_FAILURE", 0.01)
    second, way.away = way.more("second"), True
    publishing = asyncio.create_task(way.publisher.run())
    async with asyncio.timeout(10):
        while len(way.sent) < 3:
            await asyncio.sleep(0.01)
        way.away = False
        while in_use(taking) != second.name:
            await asyncio.sleep(0.01)
        before = way.sent[-1]

        way.svid = the_ca().svid(AUTHORITY)
        way.publisher.renew(way.svid)
        while way.sent[-1] == before:
            await asyncio.sleep(0.01)
    publishing.cancel()


def test_at_the_policy_authority_its_own_version_decides_and_does_not_end(way: Way, taking: Authority) -> None:
    snapshot = taking.system.snapshot
    feed = RegistryFeed(
        "https://registry.test",
        REGISTRY_PARTY,
        http=None,  # type: ignore[arg-type] # nothing is asked
        identity=lambda: svid_of(AUTHORITY),
        revocations=fresh_revocations(),
        own=lambda: bundle_in_force(way.versions),
    )
    used: list[str] = []
    feed.on_change(lambda _, policy: used.append(policy.name if policy else ""))

    for one in registry_line(snapshot), line(REVOCATIONS, state(ME, 0, {})), beat(policy=None):
        feed._take(one)
    second = way.more("second")
    feed._take(beat(policy=None))

    assert used == [way.versions.all()[-1].name, second.name]
    assert feed.policy.until == math.inf


async def test_a_party_that_starts_while_the_authority_is_suspended_refuses_until_it_is_reinstated(
    system: System, issuer: Issuer
) -> None:
    """It has no policies, also none of an earlier run, and takes up the first ones without a restart."""
    service = system.services["orchestrator"]
    authority: Revocable = ("party", system.registry.id(AUTHORITY))
    feed = followed(system, service)
    async with system.client("orchestrator", issuer.token()) as client:

        async def answered(*lines: str) -> tuple[int, str | None]:
            for one in lines:
                feed._take(one)
            answer = await client.post("/tasks", json={"request": "Summarise our incident reports."})
            return answer.status_code, answer.json().get("reason")

        suspended = line(REVOCATIONS, state(ME, 1, {authority: "drift: planted.py"}))
        nothing = await answered(registry_line(system.snapshot), suspended, beat(1, policy=None))
        assert nothing == (503, Reason.POLICY_UNKNOWN)
        reinstated = line(REVOCATIONS, one_change(ME, 2, authority, None))
        assert await answered(reinstated, beat(2, policy=None)) == nothing
        assert await answered(policy_line(), beat(2)) == (200, None)


async def test_while_the_authority_is_away_the_policies_end_and_when_it_is_back_they_decide_again(
    system: System, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, now = system.services["agent/reader"], time.time()
    feed = followed(system, service)
    short = the_ca().svid(AUTHORITY, left=60)
    for one in (
        registry_line(system.snapshot),
        line(POLICY_TOPIC, document(ME, 1, signed(POLICY, 1, short))),
        line(REVOCATIONS, state(ME, 0, {})),
        beat(),
    ):
        feed._take(one)
    engine: Any = service._decider.policy

    def decided() -> ReasonCode:
        reader = principal(actors=(system.registry.id("orchestrator"),), scopes=frozenset({"agent.invoke"}))
        decision: Decision = engine.decide(reader, "agent.invoke", system.registry.id("agent/reader"))
        return decision.reason

    assert decided() is not Reason.POLICY_EXPIRED
    monkeypatch.setattr(engine, "_clock", lambda: now + 61)
    for _ in range(2):  # heartbeats go on, without a number of the policies
        feed._take(beat(policy=None))
        assert decided() is Reason.POLICY_EXPIRED
        assert feed.revocations.fresh

    feed._take(line(POLICY_TOPIC, document(ME, 2, signed(POLICY, 1))))
    feed._take(beat(policy=2))
    assert service._decider.policy is engine  # the same version: nothing was parsed again
    assert decided() is not Reason.POLICY_EXPIRED
