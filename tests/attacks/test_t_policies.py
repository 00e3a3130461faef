"""T. The policies: who would like to decide by others than the policy authority's, or by those of yesterday."""

import time
from typing import Any

import httpx
import orjson

from authorities.registry.policies import PATH
from tests.support.attack import POLICY_AUTHORITY, REGISTRY, Attempt, Target, Tries, attack
from tests.support.attack_policy import Governed, with_policy_authority
from tests.support.attack_registry import Registered, with_registry
from tests.support.ca import workload
from tests.support.feed import beat, following, line, policy_line
from tests.support.policies import signed
from tests.support.system import POLICY, Wire, svid_of
from zerotrust.policy_in_force import PolicyInForce
from zerotrust.registry.events import document
from zerotrust.registry.feed import RegistryFeed
from zerotrust.registry.policy_bundle import TYPE, SignedPolicy
from zerotrust.registry.topics import POLICY as TOPIC
from zerotrust.registry.topics import REGISTRY as TOPIC_OF_REGISTRY
from zerotrust.revocation import Gap
from zerotrust.runtime import engine_for
from zerotrust.spiffe.statement import InvalidStatement, sign

PERMISSIVE = POLICY.model_copy(update={"policies": "permit (principal, action, resource);"})
ME = "spiffe://agents.example/authority/registry"


def decides_by(feed: RegistryFeed, *lines: str) -> str:
    """Take lines as a service does, and return by which policies it would allow anything."""
    try:
        for one in lines:
            feed._take(one)
    except (Gap, InvalidStatement):
        feed.revocations.forget()
    return feed.policy.document.policies if feed.revocations.fresh else ""


def claimed(**changed: Any) -> SignedPolicy:
    """What the genuine authority signs, with other claims."""
    svid = svid_of(POLICY_AUTHORITY)
    good = {"iss": svid.id, "aud": "spiffe://agents.example", "iat": time.time(), "exp": svid.not_after, "version": 2}
    said = good | {"digest": PERMISSIVE.digest} | PERMISSIVE.model_dump() | changed
    return SignedPolicy(bundle=sign(orjson.dumps(said), svid, kind=TYPE))


def sent(policy: SignedPolicy, number: int = 2) -> tuple[str, str]:
    """A line of the registry with these policies, and the heartbeat that puts them into effect."""
    return line(TOPIC, document(ME, number, policy)), beat(policy=number)


@attack(350)
async def test_policies_that_the_registry_writes_itself(target: Target) -> Tries:
    """It signs the feed, and whoever owns it may have it sign anything."""
    forged = signed(PERMISSIVE, 2, svid_of(REGISTRY))
    yield Attempt("refused", decides_by(following(target.system.snapshot), *sent(forged)) == PERMISSIVE.policies)


@attack(351)
async def test_a_registry_that_names_itself_as_the_policy_authority(target: Target) -> Tries:
    own, other = b'"policy":"authority/policy"', b'"policy":"authority/registry"'
    named = line(TOPIC_OF_REGISTRY, document(ME, 2, target.system.snapshot).replace(own, other))
    lines = named, sent(signed(PERMISSIVE, 2, svid_of(REGISTRY)))[0], beat(registry=2, policy=2)
    yield Attempt("refused", decides_by(following(target.system.snapshot), *lines) == PERMISSIVE.policies)


@attack(352)
async def test_older_policies_as_news_of_the_registry(target: Target) -> Tries:
    """The authority has signed them, and they live yet: an operator has just taken something back."""
    feed = following(target.system.snapshot)
    assert decides_by(feed, policy_line(POLICY, 3), beat(policy=3)) == POLICY.policies
    for again in signed(PERMISSIVE, 2), signed(PERMISSIVE, 3):
        feed = following(target.system.snapshot)
        assert decides_by(feed, policy_line(POLICY, 3), beat(policy=3)) == POLICY.policies
        yield Attempt("refused", decides_by(feed, *sent(again, 4)) == PERMISSIVE.policies)


@attack(353)
async def test_policies_for_another_trust_domain(target: Target) -> Tries:
    elsewhere = claimed(aud="spiffe://elsewhere.example")
    yield Attempt("refused", decides_by(following(target.system.snapshot), *sent(elsewhere)) == PERMISSIVE.policies)


@attack(354)
async def test_policies_that_outlive_the_certificate_that_signed_them(target: Target) -> Tries:
    """Signed in the two minutes for which a thief had the key, and good for a year."""
    lasting = claimed(exp=time.time() + 365 * 86400)
    yield Attempt("refused", decides_by(following(target.system.snapshot), *sent(lasting)) == PERMISSIVE.policies)


@attack(355)
async def test_policies_of_which_nothing_was_heard_any_more(target: Target) -> Tries:
    """Whoever is between a service and the policy authority holds back a stricter version, and nothing else."""
    snapshot = target.system.snapshot
    feed = following(snapshot)
    for party in ("orchestrator", "agent/reader"):
        policy = engine_for(feed.policy, snapshot, feed)
        assert isinstance(policy, PolicyInForce)
        policy._clock = target.clock
        target.system.services[party].use(snapshot, policy)
    assert feed.policy
    target.clock.now = feed.policy.until
    for party in ("orchestrator", "agent/reader"):
        yield await target.send(party, target.token(party))


@attack(356, with_registry)
async def test_older_policies_brought_to_the_registry_again(target: Registered) -> Tries:
    """By the authority itself, from a backup, or by whoever has what it has signed and its identity."""
    answer = await bring(target, signed(POLICY, 3))
    assert answer.status_code == 204
    for again in signed(POLICY, 2), signed(PERMISSIVE, 3):
        answer = await bring(target, again)
        yield Attempt(
            "refused", answer.status_code == 204, [answer.json()["reason"]] if answer.content else [], "policy_older"
        )


@attack(357, with_registry)
async def test_somebody_else_brings_policies_to_the_registry(target: Registered) -> Tries:
    """With their own signature; or the authority's, of which others have copies, as if it were news."""
    forged, names = signed(PERMISSIVE, 2, svid_of("agent/writer")), ("statement-signer", "peer-admitted-by-route")
    for by, policy, stopped_by in (
        ("agent/writer", forged, " and ".join(names)),
        ("agent/writer", signed(POLICY, 2), names[1]),
        (POLICY_AUTHORITY, forged, names[0]),
    ):
        answer = await bring(target, policy, by=by)
        yield Attempt("refused", answer.status_code == 204).stopped_by(stopped_by)


async def bring(target: Registered, policy: SignedPolicy, *, by: str = POLICY_AUTHORITY) -> httpx.Response:
    """What a workload brings to the registry."""
    async with httpx.AsyncClient(transport=Wire(target.system.apps, workload(by))) as http:
        return await http.post(target.system.addresses[REGISTRY] + PATH, content=policy.bundle)


@attack(358, with_policy_authority)
async def test_a_caller_who_is_no_operator_works_on_the_policies(target: Governed) -> Tries:
    """Looks at them, changes them or takes a change back: for operators, in person, with their own client."""
    content = target.versions.active.content.model_dump(mode="json")
    doors: list[dict[str, Any]] = [
        {"method": "GET", "path": "/versions", "body": b""},
        {"path": "/versions", "body": {"content": content, "why": "a rival"}},
        {"path": "/versions/test", "body": content},
        {"path": "/versions/rollback", "body": {"version": 1, "why": "a rival"}},
    ]
    for door in doors:
        async for tried in target.by_no_operator(**door):
            yield tried
