"""A change of the registry, and one of the policies, as they come to all services."""

import math
import time
from pathlib import Path

from authorities.registry.state import State
from authorities.registry.stream import Stream
from tests.support.ca import REGISTRY_PARTY
from tests.support.feed import followed
from tests.support.issuer import Issuer
from tests.support.policies import signed
from tests.support.system import POLICY, System, svid_of
from zerotrust.decision import Reason
from zerotrust.revocation import Revocations

STRICTER = POLICY.model_copy(update={"policies": POLICY.policies.replace("context.one_department", "false")})


async def test_what_the_registry_publishes_is_used_by_every_service_from_the_heartbeat_on(
    system: System, issuer: Issuer, tmp_path: Path
) -> None:
    kept, own = State(tmp_path / "revocations.db"), svid_of(REGISTRY_PARTY)
    moved = system.snapshot.model_copy(update={"read_from": {"registry.yaml": "0" * 64}})
    before, after = f"1-{POLICY.digest[:12]}", f"2-{STRICTER.digest[:12]}"
    for service in system.services.values():
        service.revocations._clock = lambda: 0.0  # nothing becomes stale, however long a busy machine takes
    async with kept.open(), system.client("orchestrator", issuer.token()) as client:
        stream = Stream(kept, revocations=Revocations(clock=time.monotonic), identity=lambda: own)
        for source in ("attestation", "keycloak"):
            stream.note_read(source, time.monotonic() + 3600)
        await stream.publish(system.snapshot)
        await stream.publish_policy(signed(), math.inf)
        sent = {
            name: stream.follow(service.workload.svid.id, time.time() + 60) for name, service in system.services.items()
        }
        feeds = {name: followed(system, service) for name, service in system.services.items()}
        for name, feed in feeds.items():
            for _ in range(4):
                feed._take((await anext(sent[name])).rstrip())
        assert (await client.post("/tasks", json={"request": "Summarise our incident reports."})).status_code == 200

        await stream.publish(moved)
        await stream.publish_policy(signed(STRICTER, 2), math.inf)
        for name, feed in feeds.items():
            service = system.services[name]
            for now in (system.snapshot, before), (moved, before), (moved, before), (moved, after):
                feed._take((await anext(sent[name])).rstrip())
                assert (service.snapshot, service._decider.policy.version) == now
        refused = await client.post("/tasks", json={"request": "Summarise our incident reports."})
        assert system.reasons("agent/reader")[-1] == Reason.POLICY_DENIED, refused.text
        for lines in sent.values():
            await lines.aclose()  # type: ignore[attr-defined] # what the server does
