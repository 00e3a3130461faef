"""A feed that begins anew sends the same again: nothing that is warm goes cold for that."""

from tests.support.feed import following, whole
from tests.support.policies import bundle_of, signed
from zerotrust.registry.model import Registry
from zerotrust.registry.policy_bundle import Bundle
from zerotrust.registry.snapshot import RegistrySnapshot


def test_documents_that_came_before_are_not_used_again(registry: Registry) -> None:
    one = RegistrySnapshot(registry=registry, addresses={}, approved={})
    other = one.model_copy(update={"addresses": {"inference": "https://127.0.0.1:8105"}})
    used, feed = list[tuple[RegistrySnapshot, Bundle]](), following(one)
    feed.on_change(lambda *both: used.append(both))

    for number, snapshot in enumerate((one, one, other, other, one), 1):
        for line in whole(snapshot, registry=number):
            feed._take(line)

    assert used == [(other, bundle_of(signed())), (one, bundle_of(signed()))]
