"""Lines of the registry's feed, as the registry sends them, or somebody who would like to be it."""

from collections.abc import Mapping
from typing import Any

from tests.support.ca import REGISTRY_PARTY, TRUST_DOMAIN, the_ca
from tests.support.policies import signed
from tests.support.system import POLICY, System, fresh_revocations
from zerotrust.registry.events import document, heartbeat, state
from zerotrust.registry.feed import RegistryFeed
from zerotrust.registry.snapshot import PolicyDocument, RegistrySnapshot
from zerotrust.registry.topics import HEARTBEAT, REGISTRY, REVOCATIONS, LineKind
from zerotrust.registry.topics import POLICY as POLICY_TOPIC
from zerotrust.revocation_list import Revocable
from zerotrust.runtime import engine_for
from zerotrust.service import Service
from zerotrust.spiffe.statement import sign
from zerotrust.spiffe.svid import Svid

ME = f"spiffe://{TRUST_DOMAIN}/{REGISTRY_PARTY}"


def line(kind: LineKind, payload: bytes, svid: Svid | None = None) -> str:
    """A line, signed by the registry or by somebody else."""
    return sign(payload, svid or the_ca().svid(REGISTRY_PARTY), kind=kind.type)


def registry_line(snapshot: RegistrySnapshot, number: int = 1) -> str:
    """That version of the registry."""
    return line(REGISTRY, document(ME, number, snapshot))


def policy_line(policy: PolicyDocument = POLICY, number: int = 1, svid: Svid | None = None) -> str:
    """The policies, as version `number`, in the line of that number; `svid`: of whoever sends it for the registry."""
    return line(POLICY_TOPIC, document(ME, number, signed(policy, max(number, 1))), svid)


def beat(
    revocations: int = 0, *, registry: int = 1, policy: int | None = 1, sources: Mapping[str, float] | None = None
) -> str:
    """A heartbeat that names these numbers."""
    numbers = {"registry": registry, "revocations": revocations} | ({} if policy is None else {"policy": policy})
    return line(HEARTBEAT, heartbeat(ME, numbers, {"attestation": 0.0} if sources is None else sources))


def whole(
    snapshot: RegistrySnapshot,
    number: int = 0,
    revoked: Mapping[Revocable, str] | None = None,
    *,
    registry: int = 1,
    policy: PolicyDocument = POLICY,
    policies: int = 1,
) -> list[str]:
    """What the feed begins with: the documents, the state as of change `number`, and that it is fresh."""
    return [
        registry_line(snapshot, registry),
        policy_line(policy, policies),
        line(REVOCATIONS, state(ME, number, revoked or {})),
        beat(number, registry=registry, policy=policies),
    ]


def following(
    snapshot: RegistrySnapshot,
    number: int = 0,
    revoked: Mapping[Revocable, str] | None = None,
    *,
    party: str = REGISTRY_PARTY,
) -> RegistryFeed:
    """A feed of the reader's that has begun; a test brings it each further line."""
    svid = the_ca().svid("agent/reader")
    http: Any = None  # nothing is asked
    feed = RegistryFeed(
        "https://registry.test", party, http=http, identity=lambda: svid, revocations=fresh_revocations()
    )
    for one in whole(snapshot, number, revoked):
        feed._take(one)
    return feed


def followed(system: System, service: Service) -> RegistryFeed:
    """The service's own feed, as `run` sets it up."""
    feed = RegistryFeed(
        "https://registry.test",
        REGISTRY_PARTY,
        http=None,  # type: ignore[arg-type] # a test brings it the lines
        identity=lambda: service.workload.svid,
        revocations=service.revocations,
    )
    feed.on_change(lambda snapshot, policy: service.use(snapshot, engine_for(policy, snapshot, feed)))
    return feed
