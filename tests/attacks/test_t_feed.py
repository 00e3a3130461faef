"""T. The registry's feed: who would like to decide by other policies than everybody."""

import time

import httpx

from authorities.registry.policies import KEPT, Kept
from tests.support.attack import Attempt, Target, Tries, attack
from tests.support.attack_registry import Registered, spiffe_id, with_registry
from tests.support.ca import REGISTRY_PARTY, the_ca
from tests.support.feed import beat, following, policy_line, registry_line
from tests.support.feed import line as made
from tests.support.policies import signed
from tests.support.system import POLICY, Wire, svid_of
from zerotrust.registry.events import state
from zerotrust.registry.feed import PATH, RegistryFeed
from zerotrust.registry.topics import REVOCATIONS
from zerotrust.revocation import Gap
from zerotrust.revocation_list import Revocable
from zerotrust.spiffe.statement import InvalidStatement
from zerotrust.spiffe.svid import Peer

PERMISSIVE = POLICY.model_copy(update={"policies": "permit (principal, action, resource);"})
STRICTER = POLICY.model_copy(update={"policies": POLICY.policies.replace("context.one_department", "false")})


def follow(feed: RegistryFeed, *lines: str) -> None:
    """Take these lines as `RegistryFeed` does: at whatever is amiss nothing is fresh, and no line counts any more."""
    for line in lines:
        try:
            feed._take(line)
        except (Gap, InvalidStatement):
            feed.revocations.forget()
            return


@attack(190)
async def test_an_older_version_is_sent_again(target: Target) -> Tries:
    """Of the policies or of the registry, with a heartbeat of that time which is still fresh; or two of one number."""
    snapshot = target.system.snapshot
    narrower = snapshot.model_copy(update={"approved": {}})
    stricter, narrowed = (policy_line(STRICTER, 2), beat(policy=2)), (registry_line(narrower, 2), beat(registry=2))
    both = "topic-not-older and policy-not-older"
    for new, old, now, by in [
        (stricter, (policy_line(POLICY, 1), beat(policy=1)), STRICTER, both),
        (stricter, (policy_line(PERMISSIVE, 2), beat(policy=2)), STRICTER, both),
        (narrowed, (registry_line(snapshot, 1), beat(registry=1)), narrower, "topic-not-older"),
    ]:
        feed = following(snapshot)
        follow(feed, *new)
        assert feed.revocations.fresh
        follow(feed, *old)
        older = feed.revocations.fresh and now not in (feed.policy.document, feed.snapshot)
        yield Attempt("refused", older).stopped_by(by)


@attack(191)
async def test_stricter_policies_that_never_reach_a_party(target: Target) -> Tries:
    """Only that line is left out; heartbeats go on coming, for without them everything would be refused."""
    feed = following(target.system.snapshot)
    follow(feed, beat(policy=2))
    yield Attempt("refused", feed.revocations.fresh and feed.policy.document == POLICY)


@attack(551)
async def test_another_state_with_the_same_number(target: Target) -> Tries:
    """In one line or in two, over a feed that was opened again."""
    lost: Revocable = ("party", spiffe_id("agent/reader"))
    for parts in 1, 2:
        feed = following(target.system.snapshot, 7, {lost: "drift"})
        lines = [state(spiffe_id(REGISTRY_PARTY), 7, {}, part + 1, parts) for part in range(parts)]
        follow(feed, *(made(REVOCATIONS, one) for one in lines), beat(7))
        yield Attempt("refused", feed.revocations.fresh and lost not in feed.revocations.revoked)


@attack(192)
async def test_policies_that_a_party_signs_itself(target: Target) -> Tries:
    """In the place of those that the registry has just sent."""
    feed = following(target.system.snapshot)
    follow(feed, policy_line(PERMISSIVE, 2, the_ca().svid("agent/writer")), beat(policy=2))
    yield Attempt("refused", feed.revocations.fresh and feed.policy.document == PERMISSIVE)


@attack(193, with_registry)
async def test_policies_that_are_changed_on_the_disk(target: Registered) -> Tries:
    """Where the registry keeps what the policy authority signed: no party goes by others, however often it begins."""
    kept = target.data / KEPT
    forged = signed(PERMISSIVE, 2, svid_of(REGISTRY_PARTY)).bundle  # whoever owns the registry may have it sign
    kept.write_text(Kept(version=2, digest=PERMISSIVE.digest, bundle=forged).model_dump_json())
    for _ in range(2):
        peer = Peer(spiffe_id("agent/writer"), time.time() + 1.1)  # the feed ends a second before its certificate
        async with httpx.AsyncClient(transport=Wire(target.system.apps, peer)) as http:
            sent = await http.get(target.system.addresses[REGISTRY_PARTY] + PATH)
        feed = following(target.system.snapshot)
        follow(feed, *sent.text.splitlines())
        assert feed.revocations.number == 0
        yield Attempt("not read", feed.policy.document != POLICY)
