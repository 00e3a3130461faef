"""A stream that begins anew tells the same again: nothing that is warm goes cold for that."""

import time

from tests.support.ca import the_ca
from zerotrust.known import KIND, SIGNER, Known
from zerotrust.registry import Registry
from zerotrust.signals import Signals
from zerotrust.signed import sign
from zerotrust.standing import Standing


def test_a_document_that_was_heard_before_is_not_adopted_again(registry: Registry) -> None:
    one = Known(registry=registry, addresses={}, approved={})
    other = one.model_copy(update={"addresses": {"inference": "https://127.0.0.1:8105"}})
    reader, signer, adopted = the_ca().svid("agent/reader"), the_ca().svid(SIGNER), list[Known]()
    signals = Signals("", http=None, identity=lambda: reader, standing=Standing(clock=time.monotonic))  # type: ignore[arg-type]
    signals.on_change(adopted.append)

    for known in (one, one, other, other, one):
        signals._take(sign(known.as_payload(), signer, kind=KIND))

    assert adopted == [one, other, one]
