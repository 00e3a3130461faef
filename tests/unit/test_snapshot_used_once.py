"""A stream that begins anew tells the same again: nothing that is warm goes cold for that."""

import time

from tests.support.ca import the_ca
from zerotrust.registry.feed import RegistryFeed
from zerotrust.registry.model import Registry
from zerotrust.registry.snapshot import REGISTRY_PARTY, SNAPSHOT_TYPE, RegistrySnapshot
from zerotrust.revocation import Revocations
from zerotrust.spiffe.statement import sign


def test_a_document_that_was_heard_before_is_not_adopted_again(registry: Registry) -> None:
    one = RegistrySnapshot(registry=registry, addresses={}, approved={})
    other = one.model_copy(update={"addresses": {"inference": "https://127.0.0.1:8105"}})
    reader, signer, adopted = the_ca().svid("agent/reader"), the_ca().svid(REGISTRY_PARTY), list[RegistrySnapshot]()
    feed = RegistryFeed("", http=None, identity=lambda: reader, revocations=Revocations(clock=time.monotonic))  # type: ignore[arg-type]
    feed.on_change(adopted.append)

    for known in (one, one, other, other, one):
        feed._take(sign(known.as_payload(), signer, kind=SNAPSHOT_TYPE))

    assert adopted == [one, other, one]
