"""The machine's clock is set, forwards and back: what has ended stays ended."""

import pytest

from tests.support.door import NOW, Door
from tests.support.issuer import Issuer


@pytest.mark.parametrize("remembered", [True, False], ids=["seen before", "never seen before"])
async def test_a_token_that_has_ended_does_not_live_again(door: Door, still_issuer: Issuer, remembered: bool) -> None:
    token, later = still_issuer.token(exp=int(NOW) + 60), still_issuer.token(exp=int(NOW) + 300)
    if remembered:
        assert (await door.ask(token)).status == 200
    door.clock.now = NOW + 60
    assert (await door.ask(later)).status == 200  # whoever comes: the time is seen
    door.handled.clear()

    door.clock.now = NOW + 1
    reply = await door.ask(token)

    assert (reply.status, reply.reason) == (401, "expired")
    assert door.handled == []


async def test_a_clock_that_leaps_ahead_ends_every_token_and_no_key(door: Door, still_issuer: Issuer) -> None:
    token = still_issuer.token(exp=int(NOW) + 60)
    assert (await door.ask(token)).status == 200
    door.clock.now = NOW + 86400

    assert (await door.ask(token)).reason == "expired"
    still_issuer.down = True  # keys are counted by another clock, which nobody sets
    fresh = still_issuer.token(iat=int(NOW) + 86400, exp=int(NOW) + 86460)
    assert (await door.ask(fresh)).status == 200
