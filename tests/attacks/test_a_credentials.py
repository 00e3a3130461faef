"""A. Credentials, and how they arrive."""

from tests.support.attack import DOORS, Target, Tries, attack


@attack(1)
async def test_no_token_at_any_door(target: Target) -> Tries:
    for party in DOORS:
        yield await target.send(party, None)


@attack(29)
async def test_a_token_of_another_issuer(target: Target) -> Tries:
    for party in DOORS:
        yield await target.send(party, target.token(party, iss="http://elsewhere.test"))
